// Segments that cross a memory link whole, and bytes that are sent from where they are.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct OffloadTests {
    private static let links = [LinkKind.memory, .packets]

    /// An own buffer, which nobody else holds.
    private static func bytes(_ count: Int) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity(count)
        bytes.writeImmutableBuffer(pattern(count))
        return bytes
    }

    private static func address(_ bytes: ByteBuffer) -> UInt {
        bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }

    /// Otherwise a change would have to copy the buffer first.
    private static func expectNoOtherHolder(of bytes: inout ByteBuffer) {
        let before = address(bytes)
        bytes.setInteger(UInt8(0xff), at: bytes.readerIndex)
        #expect(address(bytes) == before)
    }

    @Test func aReaderGetsTheBytesOfTheWriterWithoutACopy() async throws {
        try await StackPair.with(mtu: 1500) { pair in
            let (near, far) = try await pair.connected()
            // Segments are short until the congestion window has grown.
            let written = Self.bytes(50_000)
            var read = ByteBuffer()
            for _ in 0..<20 {
                try await near.write(written)
                read = try #require(await far.read())
                _ = try await far.read(exactly: written.readableBytes - read.readableBytes)
            }
            #expect(read.readableBytes >= OffloadedSegment.minimumLength)
            #expect(Self.address(read) == Self.address(written))
        }
    }

    @Test(arguments: links)
    func whatIsChangedAfterItWasWrittenIsSentAsItWas(_ link: LinkKind) async throws {
        try await StackPair.with(mtu: 1500, link: link) { pair in
            let (near, far) = try await pair.connected()
            var bytes = Self.bytes(200_000)
            try await near.write(bytes)
            bytes.setRepeatingByte(0xff, count: 200_000, at: bytes.readerIndex)
            #expect(try await far.read(exactly: 200_000) == pattern(200_000))
        }
    }

    /// Both stacks are on one loop: on two, the other's would let go of it a little later.
    @Test(arguments: links)
    func whatHasBeenAcknowledgedIsTheWritersAlone(_ link: LinkKind) async throws {
        try await StackPair.with(mtu: 1500, link: link) { pair in
            let (near, far) = try await pair.connected()
            var bytes = Self.bytes(200_000)
            try await near.write(bytes)
            #expect(try await far.read(exactly: 200_000) == bytes)
            // What comes back acknowledges all that has been written.
            try await far.write("thanks")
            #expect(try await near.read(exactly: 6) == ByteBuffer(string: "thanks"))
            Self.expectNoOtherHolder(of: &bytes)
        }
    }

    @Test(arguments: links)
    func aResetLetsGoOfWhatWasWritten(_ link: LinkKind) async throws {
        try await StackPair.with(mtu: 1500, link: link) { pair in
            let (near, far) = try await pair.connected()
            var bytes = Self.bytes(200_000)
            try await near.write(bytes)
            await near.reset()
            await #expect(throws: NetstackError.connectionReset) { while try await far.read() != nil {} }
            Self.expectNoOtherHolder(of: &bytes)
        }
    }

    @Test(arguments: links, [1500, 9000])
    func statisticsCountThePacketsThatASegmentStandsFor(_ link: LinkKind, _ mtu: Int) async throws {
        try await StackPair.with(mtu: mtu, link: link) { pair in
            let (near, far) = try await pair.connected()
            for _ in 0..<10 {
                try await near.write(Self.bytes(100_000))
                _ = try await far.read(exactly: 100_000)
            }
            var sent = try await pair.near.statistics(of: 1)
            var received = try await pair.far.statistics(of: 1)
            while sent.packetsSent != received.packetsReceived {
                // Nothing is under way once this has been answered, but what is sent again on a busy machine.
                _ = try await pair.far.ping(StackPair.nearAddress)
                sent = try await pair.near.statistics(of: 1)
                received = try await pair.far.statistics(of: 1)
            }
            #expect(sent.bytesSent == received.bytesReceived)
            let fewest = 1_000_000 / (mtu - 40)
            #expect(sent.packetsSent > fewest && sent.packetsSent < fewest * 3 / 2 + 100)
            #expect(sent.bytesSent > 1_000_000 + fewest * 40)
        }
    }

    /// In place of 41 bytes, and 123, where a queue had no room for more.
    @Test func longWritesLeaveInWholePackets() async throws {
        try await StackPair.with(mtu: 65535, link: .packets) { pair in
            let (near, far) = try await pair.connected()
            let bytes = Self.bytes(256 << 10)
            let before = try await pair.near.statistics(of: 1).packetsSent
            for _ in 0..<16 {
                try await near.write(bytes)
                _ = try await far.read(exactly: bytes.readableBytes)
            }
            // Four and the rest of each, and a few more until the congestion window has grown.
            let sent = try await pair.near.statistics(of: 1).packetsSent - before
            #expect(sent >= 65 && sent < 16 * 6)
        }
    }

    /// All that waits is taken at once, and is more than a socket has room for before anyone reads it.
    @Test(arguments: [false, true])
    func datagramsAreReadBatchByBatchWhateverIsBetweenThem(_ hasSegments: Bool) async throws {
        var limits = Stack.Limits()
        limits.socketReceiveBytes = 64 << 10
        let stack = try Stack(StacksUnderTest.far, limits: limits)
        let (near, far) = MemoryLink.pipe()
        try await stack.createNIC(1, link: far, addresses: [StackPair.farAddress], mtu: 1500)
        let socket = try await stack.openUDP(port: 53)
        let reading = Task(executorPreference: stack.taskExecutor) {
            for _ in 0..<2000 {
                let datagram = try await socket.receive()
                #expect(datagram.payload == pattern(100))
            }
        }
        let source = TransportAddress(StackPair.nearAddress, 4000)
        var datagram = ByteBuffer()
        try UDPHeader.write(pattern(100), from: source, to: TransportAddress(StackPair.farAddress, 53), into: &datagram)
        var datagrams = PacketBatch()
        for _ in 0..<20 { datagrams.append(datagram) }
        let header = tcpPacket(.ack, from: source, to: TransportAddress(StackPair.farAddress, 80))
        let segment = OffloadedSegment(header: header, data: pattern(5000), count: 4)
        let loop = stack.eventLoop
        let driver = try await loop.submit { [datagrams] in
            let driver = MemoryLinkDriver(near, on: loop)
            driver.start(DeafReceiver())
            for _ in 0..<100 {
                driver.send(datagrams)
                if hasSegments { driver.send([segment]) }
            }
            return NIOLoopBound(driver, eventLoop: loop)
        }.get()
        let expected = 100 * (datagrams.count + (hasSegments ? segment.count : 0))
        while try await stack.statistics(of: 1).packetsReceived < expected { await Task.yield() }
        #expect(try await stack.statistics(of: 1).dropped[.socketFull] == 0)
        try await loop.submit { driver.value.stop() }.get()
        await stack.shutdown()
        // All have been read, or this throws.
        try await reading.value
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func whatIsReadByATaskAreSoundPackets(_ version: IPVersion) async throws {
        let stack = try Stack(StacksUnderTest.near)
        let (near, far) = MemoryLink.pipe()
        try await stack.createNIC(1, link: near, addresses: [StackPair.nearAddress, StackPair.nearAddress6], mtu: 1500)
        try await stack.addRoute(to: .everyIPv4, via: 1)
        try await stack.addRoute(to: .everyIPv6, via: 1)
        let listener = try await stack.listen(port: 80)
        let (address, peer) = version.ends
        func send(_ flags: TCPHeader.Flags, _ sequence: UInt32, _ acknowledgment: UInt32) async throws {
            try await far.write(
                tcpPacket(
                    flags, from: peer, to: address, sequence: sequence, acknowledgment: acknowledgment, window: .max))
        }
        try await send(.syn, 1, 0)
        func hear() async throws -> HeardSegment {
            let packet = try #require(await far.read())
            return try #require(try HeardSegment(packet))
        }
        let answer = try await hear()
        try await send(.ack, 2, answer.tcp.sequenceNumber &+ 1)
        let connection = try #require(await listener.first { _ in true })
        try await connection.write(pattern(50_000))
        var length = 0
        while length < 50_000 {
            // Which checks the checksums.
            let segment = try await hear()
            #expect(segment.ip.totalLength <= 1500)
            // On a busy machine a segment may come again.
            let start = Int(segment.tcp.sequenceNumber &- answer.tcp.sequenceNumber &- 1)
            length = max(length, start + segment.length)
            try await send(.ack, 2, answer.tcp.sequenceNumber &+ 1 &+ UInt32(length))
        }
        #expect(length == 50_000)
        await connection.reset()
        await listener.close()
        await stack.shutdown()
    }
}

private final class DeafReceiver: LinkReceiver {
    let takesSegments = true

    func linkReceived(_ packets: PacketBatch) {}
    func linkReceived(_ segments: [OffloadedSegment]) {}
    func linkDrained() {}
    func linkEnded(_ error: (any Error)?) {}
}
