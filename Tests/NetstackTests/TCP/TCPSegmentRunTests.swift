// Which segments are joined before TCP sees them.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct TCPSegmentRunTests {
    private static let source = TransportAddress(StackPair.farAddress, 4000)
    private static let destination = TransportAddress(StackPair.nearAddress, 80)

    /// Packets back to back, as they lie in a batch, and what becomes of them.
    private struct Batch {
        var bytes = ByteBuffer()
        var runs: [TCPSegmentRun] = []

        mutating func add(
            _ flags: TCPHeader.Flags = .ack, from source: TransportAddress = TCPSegmentRunTests.source,
            at sequence: UInt32,
            acknowledging acknowledgment: UInt32 = 7, window: UInt16 = 1000, options: [UInt8] = [], _ text: String
        ) throws {
            let packet = tcpPacket(
                flags, from: source, to: TCPSegmentRunTests.destination, sequence: sequence,
                acknowledgment: acknowledgment, window: window, options: options, payload: ByteBuffer(string: text))
            let start = bytes.readableBytes
            bytes.writeImmutableBuffer(packet)
            let ip = try IPHeader(parsing: packet.readableBytesSpan)
            let tcp = try TCPHeader(parsing: packet.readableBytesSpan.extracting(ip.payload))
            let segment = start + ip.payload.lowerBound..<start + ip.payload.upperBound
            let batch = bytes
            if let last = runs.indices.last, runs[last].add(ip, tcp, at: segment, of: batch.readableBytesSpan) {
                return
            }
            runs.append(TCPSegmentRun(ip, tcp, at: segment))
        }

        var texts: [String] { runs.map { String(buffer: $0.joinedData(from: bytes)) } }
    }

    @Test func dataThatFollowEachOtherAreJoined() throws {
        var batch = Batch()
        try batch.add(at: 100, "one ")
        try batch.add(at: 104, acknowledging: 9, window: 900, "two ")
        try batch.add([.ack, .psh], at: 108, acknowledging: 9, window: 800, "three")
        #expect(batch.texts == ["one two three"])

        let run = batch.runs[0]
        let header = try withUnsafeTemporaryAllocation(byteCount: 60, alignment: 4) { bytes in
            run.writeHeader(from: batch.bytes.readableBytesSpan, to: bytes)
            return try TCPHeader(
                parsing: ByteBuffer(bytes: bytes.prefix(run.header.count)).readableBytesSpan)
        }
        #expect(header.sequenceNumber == 100)
        #expect(header.acknowledgmentNumber == 9)
        #expect(header.window == 800)
        #expect(header.flags == [.ack, .psh])
        #expect(run.segmentLength == 13)
    }

    @Test func aGapEndsARun() throws {
        var batch = Batch()
        try batch.add(at: 100, "one ")
        try batch.add(at: 105, "two ")
        #expect(batch.texts == ["one ", "two "])
    }

    @Test func anotherConnectionEndsARun() throws {
        var batch = Batch()
        try batch.add(at: 100, "one ")
        try batch.add(from: TransportAddress(StackPair.farAddress, 4001), at: 104, "two ")
        try batch.add(from: TransportAddress(IPAddress("10.9.9.9"), 4000), at: 104, "three")
        #expect(batch.texts.count == 3)
    }

    @Test func whatSaysMoreThanDataStandsAlone() throws {
        var batch = Batch()
        try batch.add(at: 100, "one ")
        try batch.add([.ack, .fin], at: 104, "two ")
        try batch.add(at: 109, "three")
        try batch.add([.ack, .urg], at: 114, "four")
        try batch.add(.psh, at: 118, "five")
        #expect(batch.texts == ["one ", "two ", "three", "four", "five"])
        #expect(batch.runs[1].segmentLength == 5)
    }

    @Test func segmentsWithTheSameOptionsAreJoined() throws {
        var batch = Batch()
        let options: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7]
        try batch.add(at: 100, options: options, "one ")
        try batch.add(at: 104, options: options, "two ")
        var later = options
        later[7] = 10
        try batch.add(at: 108, options: later, "three")
        #expect(batch.texts == ["one two ", "three"])
    }

    @Test func optionsAreNotLost() throws {
        var batch = Batch()
        try batch.add(at: 100, "one ")
        try batch.add(at: 104, options: [1, 1, 1, 1], "two ")
        try batch.add(at: 108, "three")
        #expect(batch.texts.count == 3)
        #expect(batch.runs[1].header.count == 24)
    }

    /// Several of these in a row are duplicate acknowledgments, which TCP counts.
    @Test func acknowledgmentsWithoutDataAreNotJoined() throws {
        var batch = Batch()
        for _ in 0..<3 { try batch.add(at: 100, "") }
        try batch.add(at: 100, "data")
        #expect(batch.texts == ["", "", "", "data"])
    }

    @Test func anOlderAcknowledgmentEndsARun() throws {
        var batch = Batch()
        try batch.add(at: 100, acknowledging: 9, "one ")
        try batch.add(at: 104, acknowledging: 8, "two ")
        #expect(batch.texts.count == 2)
    }

    @Test func sequenceNumbersMayWrap() throws {
        var batch = Batch()
        try batch.add(at: 0xffff_fffe, "one ")
        try batch.add(at: 2, "two ")
        #expect(batch.texts == ["one two "])
    }

    @Test func aRunIsNoLongerThanASegmentCanBe() throws {
        var batch = Batch()
        let part = String(repeating: "x", count: 1400)
        for index in 0..<100 { try batch.add(at: UInt32(1400 * index), part) }
        #expect(batch.runs.allSatisfy { $0.byteCount <= TCPSegmentRun.maximumLength })
        #expect(batch.runs.map(\.byteCount).reduce(0, +) == 140_000)
        #expect(batch.runs.count == 3)
    }
}
