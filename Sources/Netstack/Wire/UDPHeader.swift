// The UDP header (RFC 768, RFC 8200 section 8.1).

import NIOCore

struct UDPHeader {
    static let length = 8

    var sourcePort: UInt16
    var destinationPort: UInt16
    /// Where the payload lies in what was parsed.
    var payloadRange: Range<Int>

    init(parsing payload: RawSpan, _ header: IPHeader) throws(PacketFault) {
        guard payload.byteCount >= Self.length else { throw .truncated }
        let length = Int(payload.uint16(at: 4))
        guard length >= Self.length, length <= payload.byteCount else { throw .totalLength }
        // IPv4 senders may leave the checksum out; IPv6 senders may not.
        if payload.uint16(at: 6) != 0 {
            var checksum = InternetChecksum()
            checksum.addPseudoHeader(header.source, header.destination, .udp, length: length)
            checksum.add(payload.extracting(0..<length))
            guard checksum.value == 0 else { throw .checksum }
        } else if header.version == .v6 {
            throw .checksum
        }
        sourcePort = payload.uint16(at: 0)
        destinationPort = payload.uint16(at: 2)
        payloadRange = Self.length..<length
    }

    /// Appends a whole packet. Its payload is at most `UDPDatagram.maximumPayload` bytes long.
    static func write(_ datagram: UDPDatagram, identification: UInt32, into buffer: inout ByteBuffer) {
        let (source, destination) = (datagram.source, datagram.destination)
        let length = Self.length + datagram.payload.readableBytes
        IPHeader.write(
            from: source.address, to: destination.address, .udp, payloadLength: length, identification: identification,
            into: &buffer)
        let start = buffer.writerIndex
        buffer.writeMultipleIntegers(source.port, destination.port, UInt16(truncatingIfNeeded: length), UInt16(0))
        buffer.writeImmutableBuffer(datagram.payload)
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(source.address, destination.address, .udp, length: length)
        checksum.add(buffer.readableBytesSpan.extracting(droppingFirst: start - buffer.readerIndex))
        // Zero would mean that there is none.
        buffer.setInteger(checksum.value == 0 ? UInt16.max : checksum.value, at: start + 6)
    }
}
