// The TCP header (RFC 9293 section 3.1), as far as the stack looks at it before lwIP does.

import NIOCore

struct TCPHeader {
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let fin = Flags(rawValue: 1)
        static let syn = Flags(rawValue: 2)
        static let rst = Flags(rawValue: 4)
        static let psh = Flags(rawValue: 8)
        static let ack = Flags(rawValue: 16)
    }

    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequence: UInt32
    var acknowledgment: UInt32
    var flags: Flags
    /// The length of the segment in sequence space: its data, SYN and FIN.
    var segmentLength: Int

    /// Checks lengths only: lwIP checks the checksum, and parses options it can bound by the data offset.
    init(parsing segment: RawSpan) throws(PacketFault) {
        guard segment.byteCount >= 20 else { throw .truncated }
        let headerLength = Int(segment.uint8(at: 12) >> 4) * 4
        guard headerLength >= 20, headerLength <= segment.byteCount else { throw .headerLength }
        sourcePort = segment.uint16(at: 0)
        destinationPort = segment.uint16(at: 2)
        sequence = segment.uint32(at: 4)
        acknowledgment = segment.uint32(at: 8)
        flags = Flags(rawValue: segment.uint8(at: 13))
        segmentLength =
            segment.byteCount - headerLength + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }

    /// Whether the checksum is right, for segments that are decided on before lwIP sees them.
    static func hasValidChecksum(_ segment: RawSpan, _ header: IPHeader) -> Bool {
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(header.source, header.destination, .tcp, length: segment.byteCount)
        checksum.add(segment)
        return checksum.value == 0
    }

    /// Appends a whole packet: the reset that answers a segment to a port where nothing listens (RFC 9293 section 3.10.7.1).
    func writeReset(from source: IPAddress, to destination: IPAddress, into buffer: inout ByteBuffer) {
        IPHeader.write(from: source, to: destination, .tcp, payloadLength: 20, into: &buffer)
        let start = buffer.writerIndex
        let answersAck = flags.contains(.ack)
        buffer.writeMultipleIntegers(
            destinationPort, sourcePort, answersAck ? acknowledgment : 0,
            answersAck ? 0 : sequence &+ UInt32(truncatingIfNeeded: segmentLength), UInt8(5 << 4),
            (answersAck ? Flags.rst : [.rst, .ack]).rawValue, UInt16(0), UInt32(0))
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(source, destination, .tcp, length: 20)
        checksum.add(buffer.readableBytesSpan.extracting(droppingFirst: start - buffer.readerIndex))
        buffer.setInteger(checksum.value, at: start + 16)
    }
}
