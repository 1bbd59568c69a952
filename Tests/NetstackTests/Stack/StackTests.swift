// NICs, routes, isolation, and the end of a stack, through the public API.

import NIOCore
import NIOPosix
import Netstack
import TestSupport
import Testing

@Suite struct StackTests {
    @Test func stacksWithEqualAddressesAndPortsDoNotSeeEachOther() async throws {
        try await StackPair.with { one in
            try await StackPair.with { two in
                let listeners = (try await one.far.listen(port: 80), try await two.far.listen(port: 80))
                let source = TransportAddress(StackPair.nearAddress, 5000)
                let destination = TransportAddress(StackPair.farAddress, 80)
                let dialled = (
                    try await one.near.connect(to: destination, from: source),
                    try await two.near.connect(to: destination, from: source)
                )
                let accepted = (
                    try #require(await listeners.0.first { _ in true }),
                    try #require(await listeners.1.first { _ in true })
                )
                try await dialled.0.write("one")
                try await dialled.1.write("two")
                #expect(try await accepted.0.read(exactly: 3) == ByteBuffer(string: "one"))
                #expect(try await accepted.1.read(exactly: 3) == ByteBuffer(string: "two"))
                await one.shutdown()
                await #expect(throws: NetstackError.stackShutDown) { try await dialled.0.read() }
                try await dialled.1.write("still here")
                #expect(try await accepted.1.read(exactly: 10) == ByteBuffer(string: "still here"))
            }
        }
    }

    @Test func theLongestPrefixDecidesTheNIC() async throws {
        let stack = try Stack(StacksUnderTest.near)
        let wide = Endpoint()
        let narrow = Endpoint()
        let source = try IPAddress("10.0.0.1")
        try await stack.createNIC(1, endpoint: wide, addresses: [source])
        try await stack.createNIC(2, endpoint: narrow, addresses: [source])
        try await stack.addRoute(to: CIDRBlock("0.0.0.0/0"), via: 1)
        try await stack.addRoute(to: CIDRBlock("192.168.0.0/16"), via: 2)
        let socket = try await stack.openUDP()
        try await socket.send(ByteBuffer(string: "wide"), to: TransportAddress("8.8.8.8:9"))
        try await socket.send(ByteBuffer(string: "narrow"), to: TransportAddress("192.168.1.1:9"))
        #expect(try #require(await wide.read()).readableBytesView.suffix(4).elementsEqual("wide".utf8))
        #expect(try #require(await narrow.read()).readableBytesView.suffix(6).elementsEqual("narrow".utf8))

        await stack.removeRoute(to: try CIDRBlock("192.168.0.0/16"), via: 2)
        try await socket.send(ByteBuffer(string: "wide"), to: TransportAddress("192.168.1.1:9"))
        #expect(try #require(await wide.read()).readableBytesView.suffix(4).elementsEqual("wide".utf8))
        #expect(await stack.routes.map(\.description) == ["0.0.0.0/0 via NIC 1"])
        await stack.shutdown()
        #expect(try await wide.read() == nil)
    }

    @Test func aPairPlumbedByHandWithEndpointsWorks() async throws {
        let (left, right) = (try Stack(StacksUnderTest.near), try Stack())
        let (leftEnd, rightEnd) = (Endpoint(), Endpoint())
        try await left.createNIC(1, endpoint: leftEnd, addresses: [IPAddress("10.0.0.1")])
        try await right.createNIC(7, endpoint: rightEnd, addresses: [IPAddress("10.0.0.2")])
        try await left.addRoute(to: .everyIPv4, via: 1)
        try await right.addRoute(to: .everyIPv4, via: 7)
        // The caller carries each packet itself.
        let pumps = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { while let packet = try await leftEnd.read() { try await rightEnd.write(packet) } }
                group.addTask {
                    while let batch = try await rightEnd.readBatch() { try await leftEnd.writeBatch(batch) }
                }
                try await group.waitForAll()
            }
        }
        let listener = try await right.listen(port: 80)
        async let accepted = listener.first { _ in true }
        let client = try await left.connect(to: TransportAddress("10.0.0.2:80"))
        let server = try #require(await accepted)
        async let received = server.readToEnd()
        try await client.write(pattern(2 << 20))
        try await client.closeWrite()
        #expect(try await received == pattern(2 << 20))
        await left.shutdown()
        await right.shutdown()
        _ = await pumps.result
    }

    /// The exit's way of working, by hand: a promiscuous NIC that answers for any address.
    @Test func aPromiscuousNICAcceptsForAnyAddress() async throws {
        try await StackPair.with(farPromiscuous: true) { pair in
            try await pair.far.handleConnections(on: 1) { request in
                Task {
                    switch request.destination.port {
                    case 1: request.refuse()
                    case 2: request.reject()
                    case 3: request.reject(.hostUnreachable)
                    default:
                        let connection = try await request.accept()
                        try await connection.write("you dialled \(request.destination)")
                        try await connection.closeWrite()
                        while try await connection.read() != nil {}
                    }
                }
            }
            try await pair.far.handleDatagrams(on: 1) { datagram in
                let reply = UDPDatagram(
                    source: datagram.destination, destination: datagram.source, payload: datagram.payload)
                Task { try await pair.far.send(reply, on: 1) }
            }
            for text in ["1.2.3.4:80", "[2001:db8::5]:443"] {
                let connection = try await pair.near.connect(to: TransportAddress(text))
                #expect(try await connection.readToEnd() == ByteBuffer(string: "you dialled \(text)"))
                await connection.close()
                let socket = try await pair.near.openUDP()
                try await socket.send(ByteBuffer(string: "ping"), to: TransportAddress(text))
                #expect(try await socket.receive().source == TransportAddress(text))
            }
            let host = try IPAddress("9.9.9.9")
            await #expect(throws: NetstackError.refused(TransportAddress(host, 1))) {
                try await pair.near.connect(to: TransportAddress(host, 1))
            }
            await #expect(throws: NetstackError.prohibited(TransportAddress(host, 2))) {
                try await pair.near.connect(to: TransportAddress(host, 2))
            }
            await #expect(throws: NetstackError.unreachable(TransportAddress(host, 3), .host)) {
                try await pair.near.connect(to: TransportAddress(host, 3))
            }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func pings(_ version: IPVersion) async throws {
        try await StackPair.with(mtu: 1280) { pair in
            for size in [0, 56, 1400, 60_000] {
                // All tests share an event loop: on a busy machine it may be a while until it comes to this one.
                let time = try await pair.near.ping(
                    StackPair.far(version), payloadSize: size, timeout: .seconds(60))
                #expect(time > .zero)
            }
            let nobody = try IPAddress(version == .v4 ? "10.0.0.77" : "fd00::77")
            await #expect(throws: NetstackError.timedOut(TransportAddress(nobody, 0))) {
                try await pair.near.ping(nobody, timeout: .milliseconds(20))
            }
        }
    }

    @Test func shutdownEndsEverythingWithAnErrorAndCanBeRepeated() async throws {
        let pair = try await StackPair()
        let (near, far) = try await pair.connected()
        let listener = try await pair.near.listen(port: 99)
        let socket = try await pair.near.openUDP()
        let waiting = [
            Task { _ = try await near.read() }, Task { _ = try await socket.receive() },
            Task { _ = try await listener.first { _ in true } },
            Task { _ = try await pair.near.connect(to: TransportAddress("10.0.0.99:1")) },
        ]
        while await pair.near.connectionCount < 2 { await Task.yield() }
        await pair.near.shutdown()
        await pair.near.shutdown()
        for task in waiting { await #expect(throws: NetstackError.stackShutDown) { try await task.value } }
        await #expect(throws: NetstackError.self) { try await near.write("x") }
        // The peer hears of it too.
        await #expect(throws: NetstackError.self) { while try await far.read() != nil {} }
        await #expect(throws: NetstackError.stackShutDown) { try await pair.near.openUDP() }
        await #expect(throws: NetstackError.stackShutDown) { try await pair.near.listen(port: 0) }
        await #expect(throws: NetstackError.stackShutDown) {
            try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 1))
        }
        await pair.far.shutdown()
    }

    @Test func reportsWhatIsTakenOrMissing() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            await #expect(throws: NetstackError.addressInUse(TransportAddress(.v4(.any), 80))) {
                try await pair.far.listen(port: 80)
            }
            let elsewhere = try IPAddress("10.7.7.7")
            await #expect(throws: NetstackError.addressNotAvailable(elsewhere, reason: "no NIC has it")) {
                try await pair.far.listen(port: 81, at: elsewhere)
            }
            await #expect(throws: NetstackError.nicExists(1)) {
                try await pair.far.createNIC(1, endpoint: Endpoint(), addresses: [])
            }
            await #expect(throws: NetstackError.noSuchNIC(5)) { try await pair.far.addRoute(to: .everyIPv4, via: 5) }
            await #expect(throws: NetstackError.addressNotAvailable(elsewhere, reason: "it is not an address of NIC 1"))
            {
                try await pair.near.connect(
                    to: TransportAddress(StackPair.farAddress, 80), from: TransportAddress(elsewhere, 0))
            }
            await pair.near.removeRoute(to: .everyIPv4, via: 1)
            await #expect(throws: NetstackError.noRoute(StackPair.farAddress)) {
                try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 80))
            }
            // A chosen NIC needs no route.
            let connection = try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 80), nic: 1)
            await connection.close()
            await listener.close()
        }
    }

    @Test func removingANICEndsItsConnections() async throws {
        try await StackPair.with { pair in
            let (near, _) = try await pair.connected()
            try await pair.near.removeNIC(1)
            await #expect(throws: NetstackError.linkDown(reason: "NIC 1 was removed")) { try await near.read() }
            #expect(await pair.near.routes.isEmpty)
            await #expect(throws: NetstackError.noSuchNIC(1)) { try await pair.near.removeNIC(1) }
        }
    }

    @Test func stacksOnDifferentEventLoopsWorkTogether() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let pair = try await StackPair(nearLoop: group.next(), farLoop: group.next())
        let (near, far) = try await pair.connected()
        async let received = far.readToEnd()
        try await near.write(pattern(16 << 20))
        try await near.closeWrite()
        #expect(try await received == pattern(16 << 20))
        await pair.shutdown()
        try await group.shutdownGracefully()
    }

    @Test func aSecondConnectionMayUseTheFourTupleOfAClosedOne() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            let destination = TransportAddress(StackPair.farAddress, 80)
            for round in 0..<20 {
                let near = try await pair.near.connect(
                    to: destination, from: TransportAddress(StackPair.nearAddress, 4000))
                let far = try #require(await listener.first { _ in true })
                // The far end closes first, and so is the one in TIME-WAIT.
                try await far.write("\(round)")
                try await far.closeWrite()
                #expect(try await near.readToEnd() == ByteBuffer(string: "\(round)"))
                try await near.closeWrite()
                #expect(try await far.read() == nil)
                // Until the last acknowledgment has come, the four-tuple is in use.
                while await pair.near.connectionCount > 0 { await Task.yield() }
            }
        }
    }

    /// A connection by a NIC that goes would outlive it.
    @Test(arguments: [false, true])
    func whoeverHearsOfTheEndDoesNotConnectAgain(_ shutsDown: Bool) async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            let redialler = Redialler()
            for _ in 0..<5 { try await pair.near.dial(by: redialler) }
            var accepted: [TCPConnection] = []
            for try await connection in listener.prefix(5) { accepted.append(connection) }
            if shutsDown { await pair.near.shutdown() } else { try await pair.near.removeNIC(1) }
            try await pair.near.eventLoop.submit {
                #expect(redialler.ends == 5)
                #expect(redialler.redials == 0)
            }.get()
        }
    }
}

extension Stack {
    fileprivate func dial(by redialler: Redialler) throws { try redialler.dial(core) }
}

/// Dials again whenever a connection of its ends. Used on one event loop.
private final class Redialler: TCPControlBlockDelegate, @unchecked Sendable {
    private(set) var ends = 0
    private(set) var redials = 0

    func dial(_ core: StackCore) throws {
        _ = try core.connect(to: TransportAddress(StackPair.farAddress, 80)) { result in
            (try? result.get())?.delegate = self
        }
    }

    func controlBlockCanRead(_ block: TCPControlBlock) {}
    func controlBlockCanWrite(_ block: TCPControlBlock) {}

    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {
        ends += 1
        if (try? dial(block.stack)) != nil { redials += 1 }
    }
}
