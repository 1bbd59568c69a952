// TCP headers and the resets that answer segments.

import NIOCore
import Netstack
import Testing

@Suite struct TCPHeaderTests {
    private func segment(flags: UInt8, data: Int = 0, options: [UInt8] = []) -> [UInt8] {
        let offset = UInt8(5 + options.count / 4) << 4
        return hex("c0000050fffffff000000007") + [offset, flags] + hex("100000000000") + options
            + [UInt8](repeating: 0x61, count: data)
    }

    private func parse(_ segment: [UInt8]) throws(PacketFault) -> TCPHeader {
        try TCPHeader(parsing: segment.span.bytes)
    }

    @Test(arguments: [SamplePacket.syn4, SamplePacket.syn6])
    func readsASYN(packet: [UInt8]) throws {
        let header = try parseTCP(packet)
        #expect(header.sourcePort == 49_152)
        #expect(header.destinationPort == 80)
        #expect(header.sequenceNumber == 0x0102_0304)
        #expect(header.acknowledgmentNumber == 0)
        #expect(header.flags == .syn)
        #expect(header.dataOffset == 40)
        #expect(header.window == 65_535)
        #expect(header.segmentLength == 1)
    }

    @Test func countsSYNAndFINIntoTheSegmentLength() throws {
        #expect(try parse(segment(flags: 0x10)).segmentLength == 0)
        #expect(try parse(segment(flags: 0x10, data: 5)).segmentLength == 5)
        #expect(try parse(segment(flags: 0x11, data: 5)).segmentLength == 6)
        #expect(try parse(segment(flags: 0x03, data: 5)).segmentLength == 7)
    }

    @Test func refusesADataOffsetBelow20BytesOrBeyondTheSegment() {
        var short = segment(flags: 2)
        short[12] = 4 << 4
        #expect(throws: PacketFault.headerLength) { try parse(short) }
        short[12] = 6 << 4
        #expect(throws: PacketFault.headerLength) { try parse(short) }
    }

    @Test func refusesEveryTruncationOfTheHeader() {
        let whole = segment(flags: 2, options: [2, 4, 5, 0xb4])
        for length in 0..<whole.count {
            #expect(throws: PacketFault.self) { try parse(Array(whole[..<length])) }
        }
    }

    @Test(arguments: [[2, 0, 1, 1], [2, 1, 1, 1], [1, 1, 1, 2], [2, 5, 1, 1], [1, 1, 8, 10]] as [[UInt8]])
    func refusesMalformedOptions(options: [UInt8]) {
        #expect(throws: PacketFault.options) { try parse(segment(flags: 2, options: options)) }
    }

    @Test(arguments: [[1, 1, 1, 1], [0, 2, 0, 0], [254, 4, 1, 2], [1, 1, 253, 2]] as [[UInt8]])
    func skipsOptions(options: [UInt8]) throws {
        #expect(try parse(segment(flags: 2, options: options)).dataOffset == 24)
    }

    @Test(arguments: [
        (SamplePacket.syn4, SamplePacket.reset4), (SamplePacket.syn6, SamplePacket.reset6),
    ])
    func answersASYNAsAClosedPortDoes(syn: [UInt8], reset: [UInt8]) throws {
        var buffer = ByteBuffer(string: "before")
        try parseTCP(syn).writeReset(answering: parseHeader(syn), to: &buffer)
        buffer.moveReaderIndex(forwardBy: 6)
        #expect(Array(buffer.readableBytesView) == reset)
    }

    @Test func takesTheSequenceNumberOfAResetFromAnAcknowledgment() throws {
        var buffer = ByteBuffer()
        try parse(segment(flags: 0x10, data: 5)).writeReset(answering: parseHeader(SamplePacket.syn4), to: &buffer)
        let reset = try parseTCP(Array(buffer.readableBytesView))
        #expect(reset.flags == .rst)
        #expect(reset.sequenceNumber == 7)
        #expect(reset.acknowledgmentNumber == 0)
    }

    @Test func wrapsTheAcknowledgmentOfAReset() throws {
        var buffer = ByteBuffer()
        let segment = try parse(segment(flags: 0x03, data: 20))
        try segment.writeReset(answering: parseHeader(SamplePacket.syn6), to: &buffer)
        let reset = try parseTCP(Array(buffer.readableBytesView))
        #expect(reset.flags == [.rst, .ack])
        #expect(reset.acknowledgmentNumber == 6)
    }

    @Test(arguments: [0x04, 0x14] as [UInt8])
    func doesNotAnswerAReset(flags: UInt8) throws {
        var buffer = ByteBuffer()
        try parse(segment(flags: flags)).writeReset(answering: parseHeader(SamplePacket.syn4), to: &buffer)
        #expect(buffer.readableBytes == 0)
    }
}
