// A peer on the path that plays with what TCP allows, or contradicts itself.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct ContraryPeerTests {
    private func withOpenConnection(
        window: UInt16 = 65535, _ body: @Sendable (Stack, TCPConnection, RawPeer, Endpoint) async throws -> Void
    ) async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: window)
            let connection = try #require(await listener.first { _ in true })
            try await body(stack, connection, peer, endpoint)
            await connection.close()
        }
    }

    /// Found by the fuzzer: lwIP took the SYN of a SYN-ACK in SYN-RECEIVED for the first byte of data.
    @Test func aSYNACKWithDataInAnswerToASYNACKMovesNoData() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.sendSYN(window: 65535)
            try await peer.heardSYN()
            try await peer.send([.syn, .ack], at: 0 &- 1, window: 65535, payload: pattern(100, from: 7))
            // The SYN-ACK may have been sent again meanwhile.
            let challenge = try await peer.next { $0.flags != [.syn, .ack] }.header
            #expect(challenge.flags == .ack)
            #expect(challenge.acknowledgmentNumber == peer.first)
            try await peer.send(.ack, window: 65535, payload: pattern(100))
            let connection = try #require(await listener.first { _ in true })
            #expect(try await connection.read(exactly: 100) == pattern(100))
            #expect(try await stack.statistics(of: 1).dropped[.synchronized] == 1)
            await connection.close()
        }
    }

    /// Found by comparing both TCPs: lwIP opened for an acknowledgment from anywhere (RFC 9293 section 3.10.7.4).
    @Test func anAcknowledgmentFromOutsideTheWindowOpensNothing() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.sendSYN(window: 65535)
            try await peer.heardSYN()
            try await peer.send(.ack, at: 0 &- 1000, window: 65535)
            // The SYN-ACK may have been sent again meanwhile.
            let challenge = try await peer.next { $0.flags != [.syn, .ack] }.header
            #expect(challenge.flags == .ack)
            #expect(challenge.acknowledgmentNumber == peer.first)
            #expect(try await stack.statistics(of: 1).dropped[.sequence] == 1)
            try await peer.send(.ack, window: 65535, payload: pattern(100))
            let connection = try #require(await listener.first { _ in true })
            #expect(try await connection.read(exactly: 100) == pattern(100))
            await connection.close()
        }
    }

    /// Found by comparing both TCPs: lwIP had done with a connection whose FIN was acknowledged from anywhere.
    @Test func anAcknowledgmentFromOutsideTheWindowEndsNothing() async throws {
        try await withOpenConnection { stack, connection, peer, _ in
            try await peer.send([.fin, .ack], window: 65535)
            #expect(try await connection.read() == nil)
            try await connection.closeWrite()
            _ = try await peer.next { $0.flags.contains(.fin) }
            try await peer.send(.ack, at: 0 &- 1000, acknowledging: 1, window: 65535)
            _ = try await peer.next { $0.flags == .ack && $0.sequenceNumber == peer.stackFirst &+ 1 }
            #expect(await stack.connectionCount == 1)
            try await peer.send(.ack, at: 1, acknowledging: 1, window: 65535)
            while await stack.connectionCount > 0 { await Task.yield() }
        }
    }

    /// RFC 9293 section 3.6.1. Found by comparing both TCPs: lwIP waited for what lies before, and said nothing at all when
    /// a FIN came with the data.
    @Test(arguments: [0, 1000], [[.ack], [.fin, .ack]] as [TCPHeader.Flags])
    func dataAfterACloseAreAnsweredWithAReset(at offset: UInt32, _ flags: TCPHeader.Flags) async throws {
        try await withOpenConnection { stack, connection, peer, _ in
            await connection.close()
            _ = try await peer.next { $0.flags.contains(.fin) }
            try await peer.send(flags, at: offset, acknowledging: 1, window: 65535, payload: pattern(100))
            let reset = try await peer.next { $0.flags.contains(.rst) }.header
            #expect(reset.sequenceNumber == peer.stackFirst &+ 1)
            #expect(await stack.connectionCount == 0)
        }
    }

    /// As after a pause of the machine, in which a dialler has tried again.
    @Test func aSYNThatComesTwiceAtOnceOpensOneConnection() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            let syn = tcpPacket(
                .syn, from: peer.source, to: RawPeer.stackAddress, sequence: peer.first &- 1, window: 65535)
            var batch = PacketBatch(syn)
            batch.append(syn)
            try await endpoint.writeBatch(batch)
            try await peer.heardSYN()
            #expect(await stack.connectionCount == 1)
            try await peer.send(.ack, window: 65535, payload: pattern(100))
            let connection = try #require(await listener.first { _ in true })
            #expect(try await connection.read(exactly: 100) == pattern(100))
            await connection.close()
        }
    }

    /// As in CVE-2026-9539: the urgent pointer beyond the segment, within it, at nothing, on a segment without data.
    @Test func anUrgentPointerMovesNoData() async throws {
        try await withOpenConnection { _, connection, peer, endpoint in
            var offset = 0
            for (pointer, count) in [(0xffff, 10), (5, 10), (10, 10), (0, 10), (1, 0), (0xffff, 0), (1, 1)] {
                var packet = peer.segment(
                    [.ack, .urg], at: UInt32(offset), window: 65535, payload: pattern(count, from: offset))
                packet.setInteger(UInt16(pointer), at: 20 + 18)
                packet.fixTCPChecksum()
                try await endpoint.write(packet)
                offset += count
            }
            #expect(try await connection.read(exactly: offset) == pattern(offset))
            try await peer.send([.fin, .ack], at: UInt32(offset), window: 65535)
            #expect(try await connection.read() == nil)
        }
    }

    @Test func aPeerWithAWindowOfOneByteGetsAllOfIt() async throws {
        try await withOpenConnection(window: 1) { _, connection, peer, _ in
            try await connection.write(pattern(20))
            var received = ByteBuffer()
            while received.readableBytes < 20 {
                var (header, payload) = try await peer.next { $0.segmentLength > 0 }
                let known = received.readableBytes - Int(header.sequenceNumber &- peer.stackFirst)
                guard known >= 0, known < payload.readableBytes else { continue }
                #expect(payload.readableBytes - known == 1)
                payload.moveReaderIndex(forwardBy: known)
                received.writeImmutableBuffer(payload)
                try await peer.send(.ack, acknowledging: UInt32(received.readableBytes), window: 1)
            }
            #expect(received == pattern(20))
        }
    }

    /// RFC 9293 section 3.8.6.1: a window that shrinks to nothing is probed, and nothing is lost when it opens.
    @Test func aWindowThatClosesWithDataInFlightLosesNothing() async throws {
        try await withOpenConnection(window: 1000) { _, connection, peer, _ in
            try await connection.write(pattern(3000))
            _ = try await peer.next { $0.segmentLength > 0 }
            // Nothing of it is taken.
            try await peer.send(.ack, window: 0)
            _ = try await peer.next { $0.sequenceNumber == peer.stackFirst && $0.segmentLength > 0 }
            try await peer.send(.ack, window: 65535)
            var received = ByteBuffer()
            while received.readableBytes < 3000 {
                var (header, payload) = try await peer.next { $0.segmentLength > 0 }
                let known = received.readableBytes - Int(header.sequenceNumber &- peer.stackFirst)
                if known >= 0, known < payload.readableBytes {
                    payload.moveReaderIndex(forwardBy: known)
                    received.writeImmutableBuffer(payload)
                }
                try await peer.send(.ack, acknowledging: UInt32(received.readableBytes), window: 65535)
            }
            #expect(received == pattern(3000))
        }
    }

    /// As in CVE-2020-1983: a datagram whose fragments contradict each other, and then a sound one.
    @Test func fragmentsOfSegmentsThatContradictEachOtherAreDropped() async throws {
        try await withOpenConnection { stack, connection, peer, endpoint in
            let packet = peer.segment([.ack, .psh], at: 0, window: 65535, payload: pattern(64))
            let first = fragment(packet, 0..<48, isLast: false, 1)
            for contrary in [
                // An overlap, an end before what has come, an empty one, and one longer than any datagram.
                fragment(packet, 40..<84, isLast: true, 1), fragment(packet, 24..<32, isLast: true, 2),
                fragment(packet, 48..<48, isLast: false, 3),
                fragment(packet, 48..<84, isLast: true, 4, at: 65_528),
            ] {
                var opening = first
                opening.setInteger(contrary.getInteger(at: 4, as: UInt16.self) ?? 0, at: 4)
                opening.fixIPChecksum()
                try await endpoint.write(opening)
                try await endpoint.write(contrary)
            }
            try await endpoint.write(fragment(packet, 48..<84, isLast: true, 9))
            try await endpoint.write(fragment(packet, 0..<48, isLast: false, 9))
            #expect(try await connection.read(exactly: 64) == pattern(64))
            let dropped = try await stack.statistics(of: 1).dropped
            #expect(dropped[.fragmentOverlap] == 1)
            #expect(dropped[.fragmentMalformed] == 3)
        }
    }

    /// All of the flood comes in one batch, the first of it twice.
    @Test func anHonestPeerGetsInWhenAFloodLeavesRoom() async throws {
        var limits = Stack.Limits()
        limits.halfOpenConnections = 16
        try await RawPeer.with(limits: limits) { stack, listener, endpoint in
            var flood = PacketBatch()
            for port in [10_000] + Array(10_000..<10_100) as [UInt16] {
                let flooder = TransportAddress(StackPair.farAddress, port)
                flood.append(tcpPacket(.syn, from: flooder, to: RawPeer.stackAddress))
            }
            try await endpoint.writeBatch(flood)
            // Those that had room are answered, and all others counted.
            var answer = try await RawPeer(endpoint, port: 10_015).next()
            #expect(answer.header.flags == [.syn, .ack])
            let dropped = try await stack.statistics(of: 1).dropped
            #expect(dropped[.connectionLimit] == 100 - 16)
            #expect(dropped[.duplicate] == 1)
            var honest = RawPeer(endpoint)
            try await honest.sendSYN(window: 1000)
            while try await stack.statistics(of: 1).dropped[.connectionLimit] <= 100 - 16 { await Task.yield() }
            try await endpoint.write(
                tcpPacket(.rst, from: RawPeer(endpoint, port: 10_015).source, to: RawPeer.stackAddress, sequence: 2))
            try await honest.handshake(window: 1000)
            let connection = try #require(await listener.first { _ in true })
            #expect(connection.remoteAddress == honest.source)
            answer = try await connected(connection, honest)
            #expect(answer.payload == ByteBuffer(string: "welcome"))
        }
    }

    private func connected(
        _ connection: TCPConnection, _ peer: RawPeer
    ) async throws -> (header: TCPHeader, payload: ByteBuffer) {
        try await connection.write("welcome")
        return try await peer.next { $0.segmentLength == 7 }
    }
}

// MARK: - Packets

/// A part of an IPv4 packet's payload as a fragment; `offset` is where it says to belong.
private func fragment(
    _ packet: ByteBuffer, _ range: Range<Int>, isLast: Bool, _ identification: UInt16, at offset: Int? = nil
) -> ByteBuffer {
    var fragment = packet.getSlice(at: 0, length: 20) ?? ByteBuffer()
    fragment.setInteger(UInt16(20 + range.count), at: 2)
    fragment.setInteger(identification, at: 4)
    fragment.setInteger(UInt16((offset ?? range.lowerBound) / 8) | (isLast ? 0 : 0x2000), at: 6)
    fragment.writeImmutableBuffer(packet.getSlice(at: 20 + range.lowerBound, length: range.count) ?? ByteBuffer())
    fragment.fixIPChecksum()
    return fragment
}

extension ByteBuffer {
    fileprivate mutating func fixIPChecksum() {
        setInteger(UInt16(0), at: 10)
        var checksum = InternetChecksum()
        checksum.add(readableBytesSpan.extracting(0..<20))
        setInteger(checksum.value, at: 10)
    }

    fileprivate mutating func fixTCPChecksum() {
        setInteger(UInt16(0), at: 36)
        var checksum = InternetChecksum()
        let peer = StackPair.farAddress
        checksum.addPseudoHeader(
            source: peer, destination: RawPeer.stackAddress.address, protocol: .tcp,
            upperLayerLength: readableBytes - 20)
        checksum.add(readableBytesSpan.extracting(20..<readableBytes))
        setInteger(checksum.value, at: 36)
    }
}
