// How long segments and windows are, as a peer sees them on the wire.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct SegmentSizeTests {
    /// MSS 1400, window scale 3.
    private static let options: [UInt8] = [2, 4, 0x05, 0x78, 1, 3, 3, 3]

    @Test func segmentsAreNoLongerThanThePeerTakes() async throws {
        for (options, limit) in [([], 536), ([2, 4, 0x05, 0x78], 1400)] as [([UInt8], Int)] {
            try await RawPeer.with { stack, listener, endpoint in
                var peer = RawPeer(endpoint)
                try await peer.handshake(window: 65535, options: options)
                let connection = try #require(await listener.first { _ in true })
                let sent = pattern(60_000)
                async let write: Void = connection.write(sent)
                var received = ByteBuffer()
                while received.readableBytes < sent.readableBytes {
                    // The checksums of what is read have been checked.
                    // Others were sent again: on a machine that stands still for a moment, the timer runs out.
                    let expected = peer.stackFirst &+ UInt32(received.readableBytes)
                    let (_, payload) = try await peer.next {
                        !$0.flags.contains(.syn) && $0.sequenceNumber == expected
                    }
                    #expect(payload.readableBytes <= limit)
                    received.writeImmutableBuffer(payload)
                    try await peer.send(.ack, acknowledging: UInt32(received.readableBytes), window: 65535)
                }
                #expect(received == sent)
                try await write
                await connection.close()
            }
        }
    }

    @Test func theSYNAnnouncesWhatAPacketHolds() async throws {
        for (mtu, mss) in [(576, 536), (1500, 1460), (9000, 8960), (65535, 65495)] as [(Int, UInt16)] {
            try await RawPeer.with(mtu: mtu) { stack, listener, endpoint in
                var peer = RawPeer(endpoint)
                let answer = try await peer.handshake(window: 65535, options: Self.options)
                #expect(answer.maximumSegmentSize == mss)
                #expect(answer.windowScale == 7)
                try await #require(await listener.first { _ in true }).reset()
            }
        }
    }

    /// RFC 9293 section 3.7.1 (MUST-67): in a SYN and in the answer to one, over both versions.
    @Test(arguments: [IPVersion.v4, .v6], [1280, 1500, 9000, 65535])
    func bothSYNsAnnounceWhatAPacketHolds(_ version: IPVersion, _ mtu: Int) async throws {
        try await Endpoint.with(mtu: mtu) { stack, _, endpoint in
            let (address, peer) = version.ends
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address, options: Self.options))
            let dial = Task { try await stack.connect(to: TransportAddress(peer.address, 9)) }
            for flags in [[.syn, .ack], .syn] as [TCPHeader.Flags] {
                let syn = try await endpoint.segment { $0.tcp.flags == flags }
                #expect(syn.options.maximumSegmentSize.map(Int.init) == mtu - 20 - (version == .v4 ? 20 : 40))
            }
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
        }
    }

    /// RFC 9293 section 3.7.1 (MUST-15): what a peer takes that announces nothing.
    @Test(arguments: [(IPVersion.v4, 536), (.v6, 1220)])
    func withoutAnAnnouncementSegmentsAreOfTheDefaultSize(_ version: IPVersion, _ size: Int) async throws {
        try await Endpoint.with { _, listener, endpoint in
            let (address, peer) = version.ends
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address, window: 65535))
            let number = try await endpoint.segment().tcp.sequenceNumber &+ 1
            try await endpoint.write(
                tcpPacket(.ack, from: peer, to: address, sequence: 2, acknowledgment: number, window: 65535))
            let connection = try #require(await listener.first { _ in true })
            try await connection.write(pattern(5000))
            #expect(try await endpoint.segment { $0.length > 0 }.length == size)
            await connection.reset()
        }
    }

    @Test func theWindowIsLargeWhereThePeerScales() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535, options: Self.options)
            let connection = try #require(await listener.first { _ in true })
            try await peer.send(.ack, window: 65535, payload: pattern(1400))
            try await peer.send(.ack, at: 1400, window: 65535, payload: pattern(1400))
            let window = try await peer.next { $0.acknowledgmentNumber == peer.first &+ 2800 }.header.window
            #expect(Int(window) << 7 > 200_000)
            await connection.reset()
        }
    }

    /// RFC 7323 section 2.2: without the option in both SYNs, neither side scales.
    @Test func theWindowIsNotScaledWhereThePeerDoesNot() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            let answer = try await peer.handshake(window: 65535)
            #expect(answer.windowScale == nil)
            let connection = try #require(await listener.first { _ in true })
            try await peer.send(.ack, window: 65535, payload: pattern(500))
            try await peer.send(.ack, at: 500, window: 65535, payload: pattern(500))
            let window = try await peer.next { $0.acknowledgmentNumber == peer.first &+ 1000 }.header.window
            #expect(window >= 60_000)
            await connection.reset()
        }
    }

    /// A peer whose window holds no two of its own segments must still get data without a wait for lwIP's persist timer.
    @Test func aWindowSmallerThanTwoSegmentsIsFilledInParts() async throws {
        try await RawPeer.with(mtu: 65535) { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535, options: [2, 4, 0xff, 0xd7])
            let connection = try #require(await listener.first { _ in true })
            let sent = pattern(500_000)
            async let write: Void = connection.write(sent)
            var count = 0
            while count < sent.readableBytes {
                let (header, payload) = try await peer.next { !$0.flags.contains(.syn) }
                // lwIP sends no more than half of it; another TCP may send a whole segment.
                if StacksUnderTest.areLwIP { #expect(payload.readableBytes <= 32768) }
                // On a busy machine a segment may come again.
                count = max(count, Int(header.sequenceNumber &- peer.stackFirst) + payload.readableBytes)
                try await peer.send(.ack, acknowledging: UInt32(count), window: 65535)
            }
            try await write
            await connection.close()
        }
    }

    /// lwIP, which cuts a segment to the window when nothing else helps, leaves a FIN on both of its parts.
    @Test func aFINComesBehindAllDataHoweverSmallTheWindow() async throws {
        try await RawPeer.with(mtu: 65535) { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            // Segments of 5,000 bytes.
            try await peer.handshake(window: 10_000, options: [2, 4, 0x13, 0x88])
            let connection = try #require(await listener.first { _ in true })
            let sent = pattern(20_000)
            let write = Task {
                try await connection.write(sent)
                try await connection.closeWrite()
            }
            var (count, isFinished) = (0, false)
            while !isFinished {
                let (header, payload) = try await peer.next { !$0.flags.contains(.syn) }
                let end = Int(header.sequenceNumber &- peer.stackFirst) + payload.readableBytes
                isFinished = header.flags.contains(.fin)
                if isFinished { #expect(end == sent.readableBytes) }
                count = max(count, end)
                // The first 10,000 bytes fit at once; from then on a part of a segment does.
                let window = max(10_000 - count, 2000)
                try await peer.send(.ack, acknowledging: UInt32(count), window: UInt16(window))
            }
            try await write.value
            await connection.reset()
        }
    }
}
