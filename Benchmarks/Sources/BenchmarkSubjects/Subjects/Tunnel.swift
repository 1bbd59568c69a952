// The two ends of a tunnel whose exit leads to this machine's loopback.

import BenchmarkReport
import Netstack
import NetstackLibP2P
import NetstackLinks
import VNI

/// An entrance, and its exit: in this process, or in a second one.
struct Tunnel {
    /// The address of the tunnel that is the exit's loopback.
    private static let exposed = IPAddress.v4(IPv4Address(192, 168, 1, 1))

    private let entrance: VirtualInterface
    private let exit: VirtualInterface?
    private let process: ChildProcess?
    /// Where the link is one of libp2p.
    private let host: LibP2PHost?

    var client: NetstackHost {
        NetstackHost(stack: entrance.stack, address: VirtualInterface.defaultAddresses(.entrance)[0])
    }
    var usage: Usage { Usage(with: process?.id) }

    /// Both ends in this process.
    init(_ tcp: TCPImplementation, mtu: Int, roundTrip: Duration) async throws {
        if roundTrip > .zero {
            let (near, far) = DelayLink.pipe(roundTrip: roundTrip, on: Stack.defaultEventLoop)
            exit = try await Self.exit(far, tcp, mtu: mtu)
            entrance = try await VirtualInterface(
                .init(mode: .entrance, mtu: mtu, logger: .silent), link: near, stack: tcp)
        } else {
            let (near, far) = MemoryLink.pipe()
            exit = try await Self.exit(far, tcp, mtu: mtu)
            entrance = try await VirtualInterface(
                .init(mode: .entrance, mtu: mtu, logger: .silent), link: near, stack: tcp)
        }
        process = nil
        host = nil
    }

    /// The exit in a process of its own, at the other end of a link.
    init(_ stack: ExitProcess.StackKind, over kind: ExitProcess.LinkKind, mtu: Int) async throws {
        let host = kind == .libp2p ? LibP2PHost() : nil
        let peer = host.map { ["--peer", "\($0.peerID)"] } ?? []
        let process = try ChildProcess(
            ChildProcess.itself,
            ["exit", "--stack", stack.rawValue, "--link", kind.rawValue, "--mtu", "\(mtu)"] + peer)
        guard let place = process.readLine() else { throw Fault("the exit's process did not start") }
        let link =
            if let host {
                try await host.openLink(to: Multiaddr(place))
            } else if let port = Int(place) {
                try await StreamLink.connect(host: "127.0.0.1", port: port)
            } else {
                try await StreamLink.connect(unixDomainSocketPath: place)
            }
        guard process.readLine() != nil else { throw Fault("the exit did not open") }
        entrance = try await VirtualInterface(
            .init(mode: .entrance, mtu: mtu, logger: .silent), link: link, stack: stack.implementation)
        exit = nil
        self.process = process
        self.host = host
    }

    static func exit(_ link: some Link, _ tcp: TCPImplementation, mtu: Int) async throws -> VirtualInterface {
        let exit = try await VirtualInterface(.init(mode: .exit, mtu: mtu, logger: .silent), link: link, stack: tcp)
        try exit.exposeRoute(CIDRBlock(exposed), to: .v4(.loopback))
        return exit
    }

    /// What the client dials to reach a server on this machine's loopback.
    func servers(for server: TransportAddress) -> Servers { Servers(TransportAddress(Self.exposed, server.port)) }

    /// Ends both, and the second process.
    func shutdown() async {
        await entrance.shutdown()
        await exit?.shutdown()
        await host?.shutdown()
        process?.wait()
    }
}
