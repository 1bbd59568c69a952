// Datagrams between two stacks, through the public API.

import NIOCore
import NIOPosix
import Netstack
import TestSupport
import Testing

@Suite struct UDPSocketTests {
    @Test(arguments: [576, 1280, 1500, 65535], [IPVersion.v4, .v6])
    func carriesDatagramsOfAnySizeAtAnyMTU(_ mtu: Int, _ version: IPVersion) async throws {
        try await StackPair.with(mtu: mtu) { pair in
            let (near, far) = (try await pair.near.openUDP(), try await pair.far.openUDP(port: 53))
            let destination = TransportAddress(StackPair.far(version), 53)
            for size in [0, 1, 507, 1472, 1473, 9000, UDPDatagram.maximumPayload] {
                try await near.send(pattern(size), to: destination)
                let datagram = try await far.receive()
                #expect(datagram.payload == pattern(size))
                #expect(datagram.destination == destination)
                #expect(datagram.source.port == near.localAddress.port)
                try await far.send(datagram.payload, to: datagram.source)
                #expect(try await near.receive().payload == pattern(size))
            }
            await #expect(throws: NetstackError.datagramTooLong(65508, limit: 65507)) {
                try await near.send(pattern(65508), to: destination)
            }
        }
    }

    @Test func aPortWithoutASocketIsUnreachable() async throws {
        try await StackPair.with { pair in
            let socket = try await pair.near.openUDP()
            let nobody = TransportAddress(StackPair.farAddress, 9)
            try await socket.send(ByteBuffer(string: "anyone?"), to: nobody)
            await #expect(throws: NetstackError.unreachable(nobody, .port)) { try await socket.receive() }
        }
    }

    @Test func whatASocketDoesNotTakeIsDroppedAndCounted() async throws {
        var limits = Stack.Limits()
        limits.socketReceiveBytes = 10_000
        try await StackPair.with(limits: limits) { pair in
            let (near, far) = (try await pair.near.openUDP(), try await pair.far.openUDP(port: 53))
            for _ in 0..<50 { try await near.send(pattern(1000), to: TransportAddress(StackPair.farAddress, 53)) }
            // A ping's reply comes after them all.
            _ = try await pair.near.ping(StackPair.farAddress, timeout: .seconds(60))
            let dropped = try await pair.far.statistics(of: 1).dropped[.socketFull]
            #expect((41..<50).contains(dropped))
            for _ in 0..<(50 - dropped) { _ = try await far.receive() }
        }
    }

    /// As the kernel's senders wait for their device: else one that never waits for anything starves its own event loop, and
    /// all that it sends is dropped.
    @Test func aSenderWaitsWhileTheLinkIsFull() async throws {
        var limits = Stack.Limits()
        limits.socketReceiveBytes = 8 << 20
        // Its own, which nothing gets a turn of before a send waits.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let pair = try await StackPair(limits: limits, nearLoop: group.next(), farLoop: group.next())
        let (near, far) = (try await pair.near.openUDP(), try await pair.far.openUDP(port: 53))
        let payload = pattern(1400)
        try await withTaskExecutorPreference(pair.near.taskExecutor) {
            for _ in 0..<2000 { try await near.send(payload, to: TransportAddress(StackPair.farAddress, 53)) }
        }
        for _ in 0..<2000 { #expect(try await far.receive().payload == payload) }
        #expect(try await pair.near.statistics(of: 1).dropped[.linkFull] == 0)
        await pair.shutdown()
        try await group.shutdownGracefully()
    }

    @Test func closingASocketEndsTheSendsThatWait() async throws {
        let stack = try Stack(StacksUnderTest.near)
        let endpoint = Endpoint()
        try await stack.createNIC(1, endpoint: endpoint, addresses: [StackPair.nearAddress], mtu: 1500)
        try await stack.addRoute(to: .everyIPv4, via: 1)
        let socket = try await stack.openUDP()
        let sending = Task {
            while true { try await socket.send(pattern(1400), to: TransportAddress(StackPair.farAddress, 53)) }
        }
        // Nobody reads from the endpoint: it takes a mebibyte.
        while try await stack.statistics(of: 1).bytesSent < 1 << 20 { await Task.yield() }
        await socket.close()
        await #expect(throws: NetstackError.closed) { try await sending.value }
        await stack.shutdown()
    }

    @Test func aClosedSocketGivesUpItsPort() async throws {
        try await StackPair.with { pair in
            let socket = try await pair.near.openUDP(port: 1000)
            await #expect(throws: NetstackError.addressInUse(TransportAddress(.v4(.any), 1000))) {
                try await pair.near.openUDP(port: 1000)
            }
            let waiting = Task { try await socket.receive() }
            await socket.close()
            await #expect(throws: NetstackError.closed) { try await waiting.value }
            _ = try await pair.near.openUDP(port: 1000)
        }
    }
}
