// What an exit takes on at most, and that those within their bounds do not notice.

import Glibc
import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

@Suite struct ExitLimitsTests {
    private let address = TransportAddress(Tunnel.host, 9)

    /// Dials, and holds the outcome back until asked.
    private func dial(_ tunnel: Tunnel, _ address: TransportAddress) -> Task<TCPConnection, any Error> {
        Task { try await tunnel.entrance.stack.connect(to: address) }
    }

    private func dropped(_ tunnel: Tunnel) async -> Int {
        let statistics = await tunnel.exit.exitStatistics
        return statistics?.dialsDropped ?? 0
    }

    @Test func dialsBeyondTheLimitAreDroppedCountedAndTriedAgain() async throws {
        let server = try KernelServer.echo()
        let policy = HesitantPolicy()
        var limits = ExitLimits()
        limits.dials = 10
        try await Tunnel.with(policy: policy, exitLimits: limits) { tunnel in
            let address = TransportAddress(Tunnel.host, server.port)
            let dials = (0..<11).map { _ in dial(tunnel, address) }
            while await dropped(tunnel) == 0 { await Task.yield() }
            // Each is asked for by a task of its own, which may come after the counter.
            while await policy.count < 10 { await Task.yield() }
            #expect(await policy.count == 10)
            await policy.decide(.allow)
            // The eleventh's SYN comes again.
            while await policy.count == 0 { await Task.yield() }
            await policy.decide(.allow)
            for dial in dials {
                let connection = try await dial.value
                await connection.reset()
            }
            #expect(await tunnel.exit.exitStatistics?.connected == 11)
        }
    }

    @Test func oneSourceDoesNotTakeThePlaceOfAnother() async throws {
        let server = try KernelServer.echo()
        let policy = HesitantPolicy()
        var limits = ExitLimits()
        limits.dials = Bound(total: 10, perSource: 5)
        try await Tunnel.with(policy: policy, exitLimits: limits) { tunnel in
            let address = TransportAddress(Tunnel.host, server.port)
            let greedy = (0..<20).map { _ in dial(tunnel, address) }
            while await dropped(tunnel) < 15 { await Task.yield() }
            while await policy.count < 5 { await Task.yield() }
            #expect(await policy.count == 5)
            let other = dial(tunnel, TransportAddress(Tunnel.host6, server.port))
            while await policy.count < 6 { await Task.yield() }
            for dial in greedy + [other] { dial.cancel() }
            for dial in greedy + [other] { await #expect(throws: CancellationError.self) { try await dial.value } }
            await policy.decide(.drop)
        }
    }

    @Test func connectionsBeyondTheLimitAreProhibited() async throws {
        let server = try KernelServer.echo()
        var limits = ExitLimits()
        limits.connections = 3
        try await Tunnel.with(exitLimits: limits) { tunnel in
            var open: [TCPConnection] = []
            for _ in 0..<3 { open.append(try await tunnel.connect(port: server.port)) }
            let address = TransportAddress(Tunnel.host, server.port)
            await #expect(throws: NetstackError.prohibited(address)) { try await tunnel.connect(port: server.port) }
            // A SYN that was sent again counts again.
            let prohibited = try #require(await tunnel.exit.exitStatistics?.connectionsProhibited)
            #expect(prohibited >= 1)
            // One that has ended makes room.
            await open[0].reset()
            while await tunnel.exit.exitStatistics?.connections == 3 { await Task.yield() }
            open.append(try await tunnel.connect(port: server.port))
        }
    }

    @Test func flowsBeyondTheLimitAreProhibited() async throws {
        let peer = try KernelEchoSocket()
        var limits = ExitLimits()
        limits.udpFlows = 2
        try await Tunnel.with(exitLimits: limits) { tunnel in
            let destination = TransportAddress(Tunnel.host, peer.port)
            try await exchange(tunnel, destination)
            try await exchange(tunnel, destination)
            await #expect(throws: NetstackError.prohibited(destination)) { try await exchange(tunnel, destination) }
            #expect(await tunnel.exit.exitStatistics?.flowsProhibited == 1)
        }
    }

    @Test func theOldestUnansweredFlowGivesWay() async throws {
        let peer = try KernelEchoSocket()
        let silent = try KernelEchoSocket { _, _ in nil }
        var limits = ExitLimits()
        limits.udpFlows = 3
        try await Tunnel.with(exitLimits: limits) { tunnel in
            let destination = TransportAddress(Tunnel.host, peer.port)
            let answered = try await tunnel.entrance.stack.openUDP()
            try await exchange(answered, destination)
            var sockets: [UDPSocket] = []
            for count in 2...3 {
                let socket = try await tunnel.entrance.stack.openUDP()
                try await socket.send(ByteBuffer(string: "x"), to: TransportAddress(Tunnel.host, silent.port))
                sockets.append(socket)
                while await tunnel.exit.exitStatistics?.udpFlows != count { await Task.yield() }
            }
            // One that has been answered stays, whatever comes; the others make room for two, once they have had their time.
            var exchanged = 0
            while exchanged < 2 {
                do {
                    try await exchange(tunnel, destination)
                    exchanged += 1
                } catch NetstackError.prohibited {}
            }
            try await exchange(answered, destination)
            await #expect(throws: NetstackError.prohibited(destination)) { try await exchange(tunnel, destination) }
            let statistics = try #require(await tunnel.exit.exitStatistics)
            #expect(statistics.flowsDisplaced == 2)
            #expect(statistics.udpFlows == 3)
        }
    }

    @Test func theOldestUnansweredDialGivesWay() async throws {
        let server = try KernelServer.echo()
        let hole = try BlackHole()
        var limits = ExitLimits()
        limits.dials = 10
        try await Tunnel.with(exitLimits: limits) { tunnel in
            let dials = (0..<10).map { _ in dial(tunnel, TransportAddress(Tunnel.host, hole.port)) }
            while await tunnel.exit.exitStatistics?.dialsInFlight != 10 { await Task.yield() }
            let good = try await tunnel.connect(port: server.port)
            try await good.write("hello")
            #expect(try await good.read(exactly: 5) == ByteBuffer(string: "hello"))
            await good.reset()
            #expect(await dropped(tunnel) >= 1)
            for dial in dials { dial.cancel() }
            for dial in dials { await #expect(throws: CancellationError.self) { try await dial.value } }
        }
    }

    @Test func idleFlowsMakeRoom() async throws {
        let peer = try KernelEchoSocket()
        var limits = ExitLimits()
        limits.udpFlows = 1
        limits.udpIdleTimeout = .seconds(1)
        try await Tunnel.with(exitLimits: limits) { tunnel in
            let destination = TransportAddress(Tunnel.host, peer.port)
            for _ in 0..<2 {
                try await exchange(tunnel, destination)
                while await tunnel.exit.exitStatistics?.udpFlows != 0 { await Task.yield() }
            }
        }
    }

    /// A datagram from a socket of its own, and its reply.
    private func exchange(_ tunnel: Tunnel, _ destination: TransportAddress) async throws {
        try await exchange(tunnel.entrance.stack.openUDP(), destination)
    }

    private func exchange(_ socket: UDPSocket, _ destination: TransportAddress) async throws {
        try await socket.send(ByteBuffer(string: "x"), to: destination)
        _ = try await socket.receive()
    }

    @Test func aThousandDialsIntoABlackHoleLeaveAnotherAlone() async throws {
        let server = try KernelServer.echo()
        let hole = try BlackHole()
        try await Tunnel.with { tunnel in
            let silent = TransportAddress(Tunnel.host, hole.port)
            let dials = (0..<1000).map { _ in dial(tunnel, silent) }
            while await tunnel.exit.exitStatistics?.dialsInFlight != 1000 { await Task.yield() }
            let good = try await tunnel.connect(port: server.port)
            try await good.write("hello")
            #expect(try await good.read(exactly: 5) == ByteBuffer(string: "hello"))
            await good.reset()
            #expect(await tunnel.exit.exitStatistics?.dialsInFlight == 1000)
            for dial in dials { dial.cancel() }
            for dial in dials { await #expect(throws: CancellationError.self) { try await dial.value } }
        }
    }
}

/// A port of 127.0.0.1 that answers no SYN: its queue is full.
private final class BlackHole: Sendable {
    let port: UInt16
    private let descriptors: [CInt]

    init() throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(listener, $0, length)
                _ = listen(listener, 0)
                _ = getsockname(listener, $0, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        // One connection fills the queue; the second's SYN is the first to get no answer.
        var descriptors = [listener]
        for _ in 0..<2 {
            let client = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            _ = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(client, $0, length) }
            }
            descriptors.append(client)
        }
        self.descriptors = descriptors
        try #require(port != 0)
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
