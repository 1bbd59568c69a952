// Packets on a byte stream: they follow each other with nothing between, and each says how long it is.

package import NIOCore
package import Netstack

/// Cuts a byte stream into IP packets (RFC 791 total length; RFC 8200 payload length plus 40).
///
/// A length that can't be true means that the stream is not, or no longer, one of packets: there is no way to find the
/// next packet, so the first such length ends it.
package struct StreamFraming {
    /// The bytes of a packet whose end has not come yet.
    private var partial = ByteBuffer()

    package init() {}

    /// Takes the next bytes of the stream and returns the packets that are complete now.
    ///
    /// - Throws: `NetstackError.framing`.
    package mutating func packets(adding bytes: ByteBuffer) throws(NetstackError) -> PacketBatch {
        if partial.readableBytes == 0 { partial = bytes } else { partial.writeImmutableBuffer(bytes) }
        var ends: [Int] = []
        var end = 0
        let span = partial.readableBytesSpan
        scan: while end < span.byteCount {
            switch IPPacketLength(span.extracting(droppingFirst: end)) {
            case .needMore:
                break scan
            case .impossible(let fault):
                throw .framing(fault: fault)
            case .length(let length):
                guard end + length <= span.byteCount else { break scan }
                end += length
                ends.append(end)
            }
        }
        guard let whole = partial.readSlice(length: end) else { return PacketBatch() }
        // A copy of the rest, at most one packet, lets go of the storage that the batch now holds.
        partial = partial.readableBytes == 0 ? ByteBuffer() : ByteBuffer(bytes: partial.readableBytesView)
        return PacketBatch(bytes: whole, ends: ends)
    }

    /// What is left when the stream ends: nil if it ended between two packets.
    package var faultAtEnd: NetstackError? {
        partial.readableBytes == 0 ? nil : .framing(fault: "the stream ended \(partial.readableBytes) bytes into a packet")
    }
}
