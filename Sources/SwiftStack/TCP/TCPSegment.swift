// What the state machine is given and gives back: segments without addresses and ports.

package import NIOCore
package import NetstackCore

/// A segment that has arrived, its checksum checked. It may stand for several that followed each other without a gap
/// and said the same (receive offload): then its payload is theirs together, and the rest as the last of them had it.
package struct TCPSegment: Sendable {
    package var sequenceNumber: TCPSequenceNumber
    package var acknowledgmentNumber = TCPSequenceNumber(0)
    package var flags: TCPHeader.Flags
    /// As on the wire, before window scaling.
    package var window: UInt16 = 0
    package var options = TCPOptions()
    package var payload = ByteBuffer()
    /// How many segments it stands for.
    package var count = 1
    /// Whether the IP header of any of them said Congestion Experienced (RFC 3168 section 5).
    package var congestionExperienced = false

    package init(sequenceNumber: TCPSequenceNumber, flags: TCPHeader.Flags) {
        self.sequenceNumber = sequenceNumber
        self.flags = flags
    }

    /// SEG.LEN: the sequence numbers it occupies, SYN and FIN included.
    package var length: Int {
        payload.readableBytes + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    }
}

/// A segment to send. It may be longer than the path takes: whoever puts it on a link cuts it to pieces of
/// `maximumSegmentSize` bytes of data (segmentation offload): FIN and PSH go on the last piece, CWR on the first.
package struct TCPOutgoingSegment: Sendable {
    package var sequenceNumber: TCPSequenceNumber
    package var acknowledgmentNumber: TCPSequenceNumber
    package var flags: TCPHeader.Flags
    /// As on the wire, after window scaling.
    package var window: UInt16
    package var options: TCPOptions
    /// Bytes of data, and where they begin in the send buffer: see `TCPSendBuffer.copyBytes`.
    package var payloadLength: Int
    package var payloadOffset: Int
    /// The longest data of one piece.
    package var maximumSegmentSize: Int
    /// Whether the IP header shall say ECT(0) (RFC 3168 section 6.1.1: data, and never what is sent again).
    package var isECNCapable: Bool
}
