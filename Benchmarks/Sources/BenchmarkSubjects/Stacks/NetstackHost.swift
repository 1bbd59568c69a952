// Our own stack, over lwIP or TCP in Swift.

import Logging
import NIOCore
import Netstack

struct NetstackHost: BenchmarkStack {
    let stack: Stack
    let address: IPAddress

    /// Two stacks with a link between them.
    ///
    /// - Parameters:
    ///   - mtu: of both ends, in bytes.
    ///   - roundTrip: what the link takes there and back; zero for as little as it can.
    ///   - loss: packets that the link loses of 10,000.
    ///   - offloading: whether a link without either carries long segments as they are.
    static func pair(
        _ tcp: TCPImplementation, mtu: Int, roundTrip: Duration, loss: Int = 0, offloading: Bool = true
    ) async throws -> (client: NetstackHost, server: NetstackHost) {
        let near = NetstackHost(stack: try Stack(tcp), address: .v4(IPv4Address(10, 0, 0, 1)))
        let far = NetstackHost(stack: try Stack(tcp), address: .v4(IPv4Address(10, 0, 0, 2)))
        if roundTrip > .zero || loss > 0 {
            let (a, b) = DelayLink.pipe(roundTrip: roundTrip, loss: loss, on: Stack.defaultEventLoop)
            try await near.join(a, mtu: mtu)
            try await far.join(b, mtu: mtu)
        } else {
            let (a, b) = MemoryLink.pipe(offloading: offloading)
            try await near.join(a, mtu: mtu)
            try await far.join(b, mtu: mtu)
        }
        return (near, far)
    }

    private func join(_ link: some Link, mtu: Int) async throws {
        try await stack.createNIC(1, link: link, addresses: [address], mtu: mtu)
        try await stack.addRoute(to: .everyIPv4, via: 1)
    }

    func lane(_ number: Int) -> Stack { stack }
    var executor: (any TaskExecutor)? { stack.taskExecutor }

    func connect(to server: TransportAddress, on lane: isolated Stack) async throws -> TCPConnection {
        try await lane.connect(to: server)
    }

    func listen(port: UInt16, backlog: Int, on lane: isolated Stack) async throws -> TCPListener {
        try lane.listen(port: port, backlog: backlog)
    }

    func openUDP(port: UInt16, on lane: isolated Stack) async throws -> UDPSocket {
        try lane.openUDP(port: port)
    }
}

extension TCPConnection: BenchmarkConnection {}
extension UDPSocket: BenchmarkSocket {}

extension Logger {
    /// A measured process has better things to do, and its output is its result.
    static var silent: Logger { Logger(label: "") { _ in SwiftLogNoOpLogHandler() } }
}
