// Splits packets that are longer than a link's MTU (RFC 791 section 2.3, RFC 8200 section 4.5).

package import NIOCore

/// Splits the packets that a stack sends, and numbers what it splits.
package struct Fragmenter {
    /// Starts anywhere, so that a stack's predecessor at the same address leaves nothing that fits (RFC 7739).
    private var identification = UInt32.random(in: .min ... .max)

    package init() {}

    /// Adds a packet to a batch: as it is if it fits `mtu` bytes, else as fragments in order.
    ///
    /// `header` is the packet's, which is not itself a fragment. An MTU that has no room for 8 bytes of payload adds
    /// nothing.
    package mutating func append(
        _ packet: ByteBuffer, _ header: IPHeader, mtu: Int, to batch: inout PacketBatch
    ) {
        guard header.totalLength > mtu else {
            batch.append(packet)
            return
        }
        let overhead = header.headerLength + (header.version == .v4 ? 0 : Self.fragmentHeaderLength)
        let limit = (mtu - overhead) & ~7
        guard limit > 0 else { return }
        identification &+= 1
        let length = header.payload.count
        for offset in stride(from: 0, to: length, by: limit) {
            let payload = offset..<min(offset + limit, length)
            batch.append { [identification] buffer in
                switch header.version {
                case .v4:
                    Self.writeIPv4(packet, header, payload, UInt16(truncatingIfNeeded: identification), to: &buffer)
                case .v6:
                    Self.writeIPv6(packet, header, payload, identification, to: &buffer)
                }
            }
        }
    }

    private static let fragmentHeaderLength = 8

    private static func writeIPv4(
        _ packet: ByteBuffer, _ header: IPHeader, _ payload: Range<Int>, _ identification: UInt16,
        to buffer: inout ByteBuffer
    ) {
        let start = buffer.readableBytes
        let field = buffer.readerIndex + start
        let bytes = packet.readableBytesSpan.extracting(0..<header.totalLength)
        buffer.writeBytes(bytes.extracting(0..<header.headerLength))
        let isLast = payload.upperBound == header.payload.count
        buffer.setInteger(UInt16(truncatingIfNeeded: header.headerLength + payload.count), at: field + 2)
        buffer.setInteger(identification, at: field + 4)
        buffer.setInteger(
            UInt16(truncatingIfNeeded: payload.lowerBound / 8) | (isLast ? 0 : IPv4FragmentField.moreFragments),
            at: field + 6)
        buffer.setInteger(UInt16(0), at: field + 10)
        buffer.setChecksum(at: start + 10, ofBytesFrom: start, length: header.headerLength)
        buffer.writeBytes(bytes.extracting(header.payload).extracting(payload))
    }

    private static func writeIPv6(
        _ packet: ByteBuffer, _ header: IPHeader, _ payload: Range<Int>, _ identification: UInt32,
        to buffer: inout ByteBuffer
    ) {
        let field = buffer.readerIndex + buffer.readableBytes
        let bytes = packet.readableBytesSpan.extracting(0..<header.totalLength)
        buffer.writeBytes(bytes.extracting(0..<header.headerLength))
        let isLast = payload.upperBound == header.payload.count
        let payloadLength = header.headerLength - IPHeader.ipv6Length + fragmentHeaderLength + payload.count
        buffer.setInteger(UInt16(truncatingIfNeeded: payloadLength), at: field + 4)
        buffer.setInteger(IPProtocolNumber.fragment.rawValue, at: field + header.protocolOffset)
        buffer.writeMultipleIntegers(
            header.upperLayerProtocol.rawValue, UInt8(0),
            UInt16(truncatingIfNeeded: payload.lowerBound) | (isLast ? 0 : 1), identification)
        buffer.writeBytes(bytes.extracting(header.payload).extracting(payload))
    }
}
