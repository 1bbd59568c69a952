// Which routes let what through.

import NIOConcurrencyHelpers
import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

@Suite struct ExposedRoutesTests {
    @Test(arguments: [
        "10.0.0.0/8", "10.0.0.0/8 tcp", "10.0.0.0/8 tcp/443,8000-8100", "fd00::/8 tcp udp/53 icmp",
        "192.168.1.1/32 udp",
    ])
    func aRouteReadsAsItIsWritten(_ text: String) throws {
        #expect(try ExposedRoute(text).description == text)
    }

    @Test(arguments: [
        "", "tcp", "10.0.0.0/8 sctp", "10.0.0.0/8 tcp/", "10.0.0.0/8 tcp/0", "10.0.0.0/8 tcp/70000",
        "10.0.0.0/8 tcp/5-4",
        "10.0.0.0/8 tcp/1-", "10.0.0.0/8 tcp/-1", "10.0.0.0/8 tcp/80,", "10.0.0.0/8 icmp/1", "10.0.0.0/33 tcp",
        "10.0.0.0/8 tcp/80/90",
    ])
    func whatIsNoRouteIsAnError(_ text: String) {
        #expect(throws: NetstackError.self) { try ExposedRoute(text) }
    }

    /// Whether an exit with these routes prohibits a dial. What it lets through, the policy refuses.
    private func isProhibited(
        _ routes: [String], _ transport: ExitDial.Transport, _ destination: String
    ) async throws -> Bool {
        let isProhibited = NIOLockedValueBox(false)
        try await Tunnel.with(policy: RecordingPolicy(.refuse)) { tunnel in
            try tunnel.exit.exposeRoutes(routes)
            let address = try TransportAddress(destination)
            let stack = tunnel.entrance.stack
            do {
                switch transport {
                case .tcp: _ = try await stack.connect(to: address)
                case .icmp: _ = try await stack.ping(address.address, timeout: .seconds(60))
                case .udp:
                    let socket = try await stack.openUDP()
                    try await socket.send(ByteBuffer(string: "x"), to: address)
                    _ = try await socket.receive()
                }
                Issue.record("\(address) answered")
            } catch NetstackError.prohibited {
                isProhibited.withLockedValue { $0 = true }
            } catch NetstackError.refused {
            } catch NetstackError.unreachable(_, .port) {
            }
        }
        return isProhibited.withLockedValue { $0 }
    }

    @Test func aRouteCanBeNarrowedToProtocolsAndPorts() async throws {
        let routes = ["10.0.0.0/8 tcp/443,8000-8100", "fd00::/8 udp/53 icmp"]
        #expect(try await !isProhibited(routes, .tcp, "10.1.2.3:443"))
        #expect(try await !isProhibited(routes, .tcp, "10.1.2.3:8050"))
        #expect(try await isProhibited(routes, .tcp, "10.1.2.3:80"))
        #expect(try await isProhibited(routes, .udp, "10.1.2.3:443"))
        #expect(try await isProhibited(routes, .icmp, "10.1.2.3:0"))
        #expect(try await !isProhibited(routes, .udp, "[fd00::1]:53"))
        #expect(try await isProhibited(routes, .tcp, "[fd00::1]:53"))
        #expect(try await !isProhibited(routes, .icmp, "[fd00::1]:0"))
    }

    @Test(arguments: [
        ("169.254.169.254:80", "169.254.169.254/32"), ("169.254.1.1:80", "169.254.1.0/24"),
        ("[fd00:ec2::254]:80", "fd00:ec2::254/128"), ("[fe80::1]:80", "fe80::/10"),
        ("168.63.129.16:80", "168.63.129.16/32"),
    ])
    func linkLocalAndMetadataAddressesNeedARouteOfTheirOwn(_ destination: String, _ own: String) async throws {
        let everything = ["0.0.0.0/0", "::/0"]
        #expect(try await isProhibited(everything, .tcp, destination))
        #expect(try await isProhibited(everything, .udp, destination))
        #expect(try await !isProhibited(everything + [own], .tcp, destination))
    }

    @Test func aBlockOfLinkLocalAddressesDoesNotExposeTheMetadataServiceAmongThem() async throws {
        #expect(try await isProhibited(["169.254.0.0/16"], .tcp, "169.254.169.254:80"))
        #expect(try await !isProhibited(["169.254.0.0/16"], .tcp, "169.254.169.253:80"))
    }

    @Test func withNoRouteNothingIsReachable() async throws {
        #expect(try await isProhibited([], .tcp, "10.0.0.1:80"))
        #expect(try await isProhibited([], .udp, "[fd00::1]:53"))
        #expect(try await isProhibited([], .icmp, "10.0.0.1:0"))
    }

    @Test func removingARouteEndsItsConnectionsAndFlowsOnly() async throws {
        let server = try KernelServer.echo()
        let peer = try KernelEchoSocket()
        try await Tunnel.with(.memory) { tunnel in
            try tunnel.exit.exposeRoute("10.9.9.9/32 tcp/\(server.port)", to: "127.0.0.1")
            let kept = try await tunnel.connect(port: server.port)
            let ended = try await tunnel.entrance.stack.connect(
                to: TransportAddress("10.9.9.9:\(server.port)"))
            try tunnel.exit.exposeRoute("10.9.9.9/32 udp", to: "127.0.0.1")
            let socket = try await tunnel.entrance.stack.openUDP()
            try await socket.send(ByteBuffer(string: "x"), to: TransportAddress("10.9.9.9:\(peer.port)"))
            _ = try await socket.receive()
            #expect(await tunnel.exit.exitStatistics?.connections == 2)
            #expect(await tunnel.exit.exitStatistics?.udpFlows == 1)

            try tunnel.exit.removeRoutes(["10.9.9.9/32 tcp/\(server.port)"])
            await #expect(throws: NetstackError.connectionReset) { try await ended.read() }
            #expect(await tunnel.exit.exitStatistics?.udpFlows == 1)
            try tunnel.exit.removeRoutes(["10.9.9.9/32"])
            while await tunnel.exit.exitStatistics?.udpFlows != 0 { await Task.yield() }
            #expect(await tunnel.exit.exitStatistics?.unrouted == 2)

            try await kept.write("still here")
            #expect(try await kept.read(exactly: 10) == ByteBuffer(string: "still here"))
            #expect(await tunnel.exit.exitStatistics?.connections == 1)
        }
    }
}
