// The fixed part of a TCP segment's header, and the reset that answers a segment (RFC 9293).

package import NIOCore

/// A TCP header whose length and options are sound. The checksum is not looked at.
@usableFromInline package struct TCPHeader: Hashable, Sendable {
    package let sourcePort: UInt16
    package let destinationPort: UInt16
    package let sequenceNumber: UInt32
    package let acknowledgmentNumber: UInt32
    package let flags: Flags
    /// Where the data starts, in bytes: 20…60.
    package let dataOffset: Int
    /// As on the wire, before window scaling.
    package let window: UInt16
    /// The options of a SYN; nil where it has none. On other segments they mean nothing.
    package let maximumSegmentSize: UInt16?
    package let windowScale: UInt8?
    /// SEG.LEN: the sequence numbers the segment occupies, SYN and FIN included.
    package let segmentLength: Int

    package static let minimumLength = 20

    /// The longest data, in bytes, of a segment in a packet of `mtu` bytes.
    package static func maximumSegmentSize(_ version: IPVersion, mtu: Int) -> UInt16 {
        UInt16(clamping: mtu - minimumLength - IPHeader.minimumLength(version))
    }

    /// The control bits (RFC 9293 section 3.1, RFC 3168). Inlinable: TCP in Swift asks for them with each segment.
    @usableFromInline package struct Flags: OptionSet, Hashable, Sendable {
        @usableFromInline package let rawValue: UInt8

        @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

        @inlinable package static var fin: Flags { Flags(rawValue: 1) }
        @inlinable package static var syn: Flags { Flags(rawValue: 2) }
        @inlinable package static var rst: Flags { Flags(rawValue: 4) }
        @inlinable package static var psh: Flags { Flags(rawValue: 8) }
        @inlinable package static var ack: Flags { Flags(rawValue: 16) }
        @inlinable package static var urg: Flags { Flags(rawValue: 32) }
        @inlinable package static var ece: Flags { Flags(rawValue: 64) }
        @inlinable package static var cwr: Flags { Flags(rawValue: 128) }
    }

    /// Reads a whole segment.
    package init(parsing segment: RawSpan) throws(PacketFault) {
        guard segment.byteCount >= Self.minimumLength else { throw .truncated }
        dataOffset = Int(segment.uint8(at: 12) >> 4) * 4
        guard dataOffset >= Self.minimumLength, dataOffset <= segment.byteCount else { throw .headerLength }
        sourcePort = segment.uint16(at: 0)
        destinationPort = segment.uint16(at: 2)
        sequenceNumber = segment.uint32(at: 4)
        acknowledgmentNumber = segment.uint32(at: 8)
        flags = Flags(rawValue: segment.uint8(at: 13))
        window = segment.uint16(at: 14)
        segmentLength =
            segment.byteCount - dataOffset + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
        if dataOffset > Self.minimumLength {
            let options = try TCPOptions(parsing: segment.extracting(Self.minimumLength..<dataOffset))
            maximumSegmentSize = options.maximumSegmentSize
            windowScale = options.windowScale
        } else {
            maximumSegmentSize = nil
            windowScale = nil
        }
    }
}

extension TCPHeader {
    /// Writes the packet that resets the connection a segment is for (RFC 9293 section 3.10.7.1).
    ///
    /// Writes nothing when the segment is itself a reset. `header` is the segment's IP header.
    package func writeReset(answering header: IPHeader, to buffer: inout ByteBuffer) throws(NetstackError) {
        guard !flags.contains(.rst) else { return }
        try IPHeader.write(
            source: header.destination, destination: header.source, protocol: .tcp, payloadLength: Self.minimumLength,
            to: &buffer)
        let start = buffer.readableBytes
        buffer.writeMultipleIntegers(destinationPort, sourcePort)
        if flags.contains(.ack) {
            buffer.writeMultipleIntegers(acknowledgmentNumber, UInt32(0))
        } else {
            buffer.writeMultipleIntegers(UInt32(0), sequenceNumber &+ UInt32(truncatingIfNeeded: segmentLength))
        }
        let answerFlags: Flags = flags.contains(.ack) ? .rst : [.rst, .ack]
        // Data offset of five words, no window, no urgent pointer; the checksum follows.
        buffer.writeMultipleIntegers(UInt8(5 << 4), answerFlags.rawValue, UInt16(0), UInt16(0), UInt16(0))
        var pseudoHeader = InternetChecksum()
        pseudoHeader.addPseudoHeader(
            source: header.destination, destination: header.source, protocol: .tcp,
            upperLayerLength: Self.minimumLength)
        buffer.setChecksum(at: start + 16, ofBytesFrom: start, length: Self.minimumLength, initial: pseudoHeader)
    }
}
