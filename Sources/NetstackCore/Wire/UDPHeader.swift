// The UDP header (RFC 768), read and checked, and whole packets, written.

package import NIOCore

/// The header of a UDP datagram whose length and checksum are right.
package struct UDPHeader: Hashable, Sendable {
    package let sourcePort: UInt16
    package let destinationPort: UInt16
    /// Where the payload lies, counted from the first byte of the UDP header.
    package let payload: Range<Int>

    static let headerLength = 8

    /// The longest payload, in bytes: 65,507 over IPv4, 65,527 over IPv6.
    package static func maximumPayloadLength(_ version: IPVersion) -> Int {
        IPHeader.maximumPayloadLength(version) - headerLength
    }

    /// Reads the upper-layer payload of a packet with this IP header.
    package init(parsing datagram: RawSpan, in header: IPHeader) throws(PacketFault) {
        guard datagram.byteCount >= Self.headerLength else { throw .truncated }
        // A shorter length is allowed; the surplus isn't UDP payload (RFC 9868).
        let length = Int(datagram.uint16(at: 4))
        guard length >= Self.headerLength, length <= datagram.byteCount else { throw .totalLength }
        if datagram.uint16(at: 6) == 0 {
            // The sender made no checksum. IPv6, which has no header checksum either, forbids that (RFC 8200
            // section 8.1).
            guard header.version == .v4 else { throw .checksum }
        } else {
            guard InternetChecksum.isValid(datagram.extracting(0..<length), protocol: .udp, in: header) else {
                throw .checksum
            }
        }
        sourcePort = datagram.uint16(at: 0)
        destinationPort = datagram.uint16(at: 2)
        payload = Self.headerLength..<length
    }

    /// Writes an IP packet that carries `payload`, or throws before it has written anything.
    package static func write(
        _ payload: ByteBuffer, from source: TransportAddress, to destination: TransportAddress,
        into buffer: inout ByteBuffer
    ) throws(NetstackError) {
        let limit = maximumPayloadLength(destination.address.version)
        guard payload.readableBytes <= limit else { throw .datagramTooLong(payload.readableBytes, limit: limit) }
        let length = headerLength + payload.readableBytes
        try IPHeader.write(
            source: source.address, destination: destination.address, protocol: .udp, payloadLength: length,
            to: &buffer)
        let start = buffer.readableBytes
        buffer.writeMultipleIntegers(
            source.port, destination.port, UInt16(truncatingIfNeeded: length), UInt16(0))
        buffer.writeImmutableBuffer(payload)
        var pseudoHeader = InternetChecksum()
        pseudoHeader.addPseudoHeader(
            source: source.address, destination: destination.address, protocol: .udp, upperLayerLength: length)
        buffer.setChecksum(at: start + 6, ofBytesFrom: start, length: length, initial: pseudoHeader)
        // Zero would say that there is no checksum; all ones means the same number.
        let field = buffer.readerIndex + start + 6
        if buffer.getInteger(at: field, as: UInt16.self) == 0 { buffer.setInteger(UInt16.max, at: field) }
    }
}
