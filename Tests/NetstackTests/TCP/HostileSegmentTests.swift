// Sequences of segments that make stock lwIP abort the process.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct HostileSegmentTests {
    /// lwIP asserts that its persist timer runs only while something is unsent; acknowledging a window probe, with the
    /// window still closed, leaves it running with nothing unsent.
    @Test func acknowledgingAWindowProbeDoesNotAbort() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 0)
            let connection = try #require(await listener.first { _ in true })
            try await connection.write("x")
            let probe = try await peer.next {
                $0.sequenceNumber == peer.stackFirst &- 1 || $0.sequenceNumber == peer.stackFirst
            }
            #expect(probe.payload.readableBytes <= 1)
            try await peer.send(.ack, acknowledging: 1, window: 0)
            // A SYN-ACK that is sent again shows that lwIP's slow timer has run several times since.
            let other = RawPeer(endpoint, port: 4001)
            try await endpoint.write(
                tcpPacket(.syn, from: TransportAddress(StackPair.farAddress, 4001), to: RawPeer.stackAddress))
            for _ in 0..<2 { _ = try await other.next { $0.flags == [.syn, .ack] } }
            await connection.close()
        }
    }

    /// lwIP queues what is out of order as it comes, and asserts later that it lies within the window.
    @Test func dataBeyondTheWindowDoesNotAbort() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            // In one batch, so that nothing is read in between.
            var batch = PacketBatch()
            batch.append(peer.segment(.ack, at: 60_000, window: 65535, payload: pattern(60_000)))
            batch.append(peer.segment(.ack, at: 0, window: 65535, payload: pattern(60_000)))
            try await endpoint.writeBatch(batch)
            #expect(try await connection.read(exactly: 60_000) == pattern(60_000))
            #expect(try await stack.statistics(of: 1).dropped[.window] == 1)
            await connection.close()
        }
    }

    /// lwIP counts no pieces: a byte here and a byte there cost it a walk over all of them for each more.
    @Test func scatteredBytesAreBounded() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535)
            let connection = try #require(await listener.first { _ in true })
            var batch = PacketBatch()
            for index in 1...2000 {
                batch.append(
                    peer.segment(.ack, at: UInt32(2 * index), window: 65535, payload: pattern(1, from: 2 * index)))
            }
            batch.append(peer.segment(.ack, at: 0, window: 65535, payload: pattern(5000)))
            try await endpoint.writeBatch(batch)
            #expect(try await connection.read(exactly: 5000) == pattern(5000))
            #expect(try await stack.statistics(of: 1).dropped[.outOfOrder] == 2000 - 256)
            await connection.close()
        }
    }

    /// lwIP asserts that what is unsent is no longer than the segments it would make for the largest window it has seen.
    @Test func aWindowThatOpensALittleDoesNotAbort() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 0)
            let connection = try #require(await listener.first { _ in true })
            try await connection.write(pattern(100))
            try await peer.send(.ack, window: 50)
            // Its answer shows that the window has been seen.
            _ = try await stack.statistics(of: 1)
            while try await stack.statistics(of: 1).packetsReceived < 3 { await Task.yield() }
            try await connection.write(pattern(100, from: 100))
            try await peer.send(.ack, window: 1000)
            var received = ByteBuffer()
            while received.readableBytes < 200 {
                var (header, payload) = try await peer.next { $0.segmentLength > 0 }
                // A segment may begin with what a window probe has brought before.
                let known = received.readableBytes - Int(header.sequenceNumber &- peer.stackFirst)
                guard known >= 0, known < payload.readableBytes else { continue }
                payload.moveReaderIndex(forwardBy: known)
                received.writeImmutableBuffer(payload)
                try await peer.send(.ack, acknowledging: UInt32(received.readableBytes), window: 1000)
            }
            #expect(received == pattern(200))
            await connection.close()
        }
    }

    @Test func aServerThatLetsGoAfterItsAnswerStillDeliversIt() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            let serving = Task {
                let connection = try #require(await listener.first { _ in true })
                let request = try await connection.readToEnd()
                try await connection.write(request)
                try await connection.closeWrite()
            }
            let client = try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 80))
            try await client.write(pattern(60_000))
            try await client.closeWrite()
            try await serving.value
            #expect(try await client.readToEnd() == pattern(60_000))
        }
    }
}
