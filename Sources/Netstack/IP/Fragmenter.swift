// Cutting a packet that is longer than the MTU.

import NIOCore

enum Fragmenter {
    /// Appends a packet of ours, which has no options and no extension headers, in fragments of at most `mtu` bytes
    /// (RFC 791 section 3.2, RFC 8200 section 4.5).
    static func fragment(_ packet: ByteBuffer, mtu: Int, identification: UInt32, into batch: inout PacketBatch) {
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan) else {
            return assertionFailure("a packet of our own does not parse")
        }
        let overhead = header.version == .v4 ? 20 : 48
        let step = (mtu - overhead) & ~7
        let end = header.totalLength
        var start = header.headerLength
        while start < end {
            let count = min(step, end - start)
            let isLast = start + count == end
            let offset = start - header.headerLength
            batch.append { buffer in
                let first = buffer.writerIndex
                IPHeader.write(
                    from: header.source, to: header.destination,
                    header.version == .v4 ? header.upperLayerProtocol : .fragment,
                    payloadLength: count + overhead - IPHeader.length(header.version), identification: identification,
                    into: &buffer)
                switch header.version {
                case .v4:
                    buffer.setInteger(UInt16(truncatingIfNeeded: offset / 8) | (isLast ? 0 : 0x2000), at: first + 6)
                    IPHeader.fixIPv4Checksum(in: &buffer, at: first)
                case .v6:
                    buffer.writeMultipleIntegers(
                        header.upperLayerProtocol.rawValue, UInt8(0),
                        UInt16(truncatingIfNeeded: offset) | (isLast ? 0 : 1), identification)
                }
                if let part = packet.getSlice(at: packet.readerIndex + start, length: count) {
                    buffer.writeImmutableBuffer(part)
                }
            }
            start += count
        }
    }
}
