// A SYN for a connection that TCP in Swift has in TIME-WAIT (RFC 9293 section 3.10.7.4, RFC 6191).

import NIOCore
import SwiftStack
import TestSupport
import Testing

@Suite struct TimeWaitTests {
    /// The peer's last timestamp of the old connection, and its next sequence number.
    private static let recent: UInt32 = 10_000
    private static let next: UInt32 = 1002

    private static func timestamps(_ value: UInt32?, echoing echo: UInt32) -> [UInt8] {
        guard let value else { return [] }
        return [1, 1, 8, 10] + [value, echo].flatMap { word in withUnsafeBytes(of: word.bigEndian) { Array($0) } }
    }

    /// A connection that the peer has opened and the stack has closed first, then the SYN.
    ///
    /// - Parameters:
    ///   - old: the last timestamp of the old connection; nil if it has none.
    /// - Returns: the first answer to the SYN, and where the old connection's numbers ended.
    private func answer(
        old: UInt32?, data: Int = 0, toSYN timestamp: UInt32?, at sequence: UInt32
    ) async throws -> (answer: HeardSegment, last: UInt32) {
        let (address, peer) = IPVersion.v4.ends
        var result: (HeardSegment, UInt32)?
        try await Endpoint.with(.swift, mtu: 65535) { stack, listener, endpoint in
            func send(_ flags: TCPHeader.Flags, _ sequence: UInt32, acknowledging acknowledged: HeardSegment)
                async throws
            {
                let options = Self.timestamps(old, echoing: acknowledged.options.timestamps?.value ?? 0)
                let end = acknowledged.tcp.sequenceNumber &+ UInt32(acknowledged.tcp.segmentLength)
                try await endpoint.write(
                    tcpPacket(
                        flags, from: peer, to: address, sequence: sequence, acknowledgment: end, window: 65535,
                        options: options))
            }
            // Whole packets, and a window scaled by 2^14: data come fast.
            try await endpoint.write(
                tcpPacket(
                    .syn, from: peer, to: address, sequence: 1000, window: 65535,
                    options: Self.timestamps(old, echoing: 0) + [2, 4, 0xff, 0xd7, 1, 3, 3, 14]))
            try await send(.ack, 1001, acknowledging: try await endpoint.segment())
            let connection = try #require(await listener.first { _ in true })
            async let write: Void = connection.write(pattern(data))
            var first: UInt32?
            var received: UInt32 = 0
            while received < data {
                let segment = try await endpoint.segment { $0.length > 0 }
                if first == nil { first = segment.tcp.sequenceNumber }
                received = max(received, segment.tcp.sequenceNumber &+ UInt32(segment.length) &- (first ?? 0))
                try await send(.ack, 1001, acknowledging: segment)
            }
            try await write
            try await connection.closeWrite()
            let fin = try await endpoint.segment { $0.tcp.flags.contains(.fin) }
            try await send([.fin, .ack], 1001, acknowledging: fin)
            #expect(try await connection.read() == nil)
            let last = try await endpoint.segment { $0.tcp.acknowledgmentNumber == Self.next }
            #expect(await stack.connectionCount == 0)
            try await endpoint.write(
                tcpPacket(
                    .syn, from: peer, to: address, sequence: sequence,
                    options: Self.timestamps(timestamp, echoing: 0)))
            result = (try await endpoint.segment(), last.tcp.sequenceNumber)
        }
        return try #require(result)
    }

    /// MAY-2, SHLD-4: what is newer by its timestamp, or where that does not tell, by its sequence number.
    @Test(
        arguments: [
            (recent, recent + 1, 1), (recent, recent + 1, next), (recent, recent + 1, next &+ 5_000_000),
            (recent, recent + 0x7fff_ffff, 1), (recent, recent, next + 1), (recent, nil, next + 1),
            (nil, nil, next + 1),
            (nil, 1, next + 1),
        ] as [(UInt32?, UInt32?, UInt32)])
    func aSYNThatIsNewerOpensTheNextConnection(_ old: UInt32?, _ timestamp: UInt32?, _ sequence: UInt32) async throws {
        let (answer, last) = try await answer(old: old, toSYN: timestamp, at: sequence)
        #expect(answer.tcp.flags == [.syn, .ack])
        #expect(answer.tcp.acknowledgmentNumber == sequence &+ 1)
        #expect((1..<1 << 31).contains(answer.tcp.sequenceNumber &- last))
        #expect(answer.options.timestamps?.echoReply == timestamp)
    }

    /// RFC 6191 section 2. What is not newer gets the answer of the old connection, as RFC 5961 section 4 has it.
    @Test(
        arguments: [
            (recent, recent - 1, next + 1), (recent, recent &- 0x7fff_ffff, next + 1), (recent, recent, next),
            (recent, recent, 1), (recent, nil, next), (recent, nil, 1), (nil, nil, next), (nil, nil, 1), (nil, 1, 1),
        ] as [(UInt32?, UInt32?, UInt32)])
    func aSYNThatIsNotNewerIsChallenged(_ old: UInt32?, _ timestamp: UInt32?, _ sequence: UInt32) async throws {
        let (answer, last) = try await answer(old: old, toSYN: timestamp, at: sequence)
        #expect(answer.tcp.flags == .ack)
        #expect(answer.tcp.sequenceNumber == last)
        #expect(answer.tcp.acknowledgmentNumber == Self.next)
    }

    /// RFC 9293 section 3.6.1 (MAY-2): the next connection's numbers begin above all of the old one's, however fast it was.
    @Test func theNextConnectionBeginsAboveTheOld() async throws {
        let (answer, last) = try await answer(old: Self.recent, data: 8 << 20, toSYN: Self.recent + 1, at: 1)
        #expect(answer.tcp.flags == [.syn, .ack])
        #expect((1..<1 << 31).contains(answer.tcp.sequenceNumber &- last))
    }
}
