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
        var stream = partial
        partial = ByteBuffer()
        if stream.readableBytes == 0 { stream = bytes } else { stream.writeImmutableBuffer(bytes) }
        let ends = try Self.ends(in: stream.readableBytesSpan)
        let end = ends.last ?? 0
        // A copy of the rest, less than a packet, lets go of the storage that the batch holds.
        if end < stream.readableBytes { partial = ByteBuffer(bytes: stream.readableBytesView.dropFirst(end)) }
        guard let whole = stream.readSlice(length: end) else { return PacketBatch() }
        return PacketBatch(bytes: whole, ends: ends)
    }

    /// Where the packets end that begin at the first byte and are complete.
    private static func ends(in stream: RawSpan) throws(NetstackError) -> [Int] {
        var ends: [Int] = []
        var end = 0
        while true {
            switch IPPacketLength(ofPacketStartingWith: stream.extracting(droppingFirst: end)) {
            case .impossible(let fault):
                throw .framing(fault: fault)
            case .length(let length) where end + length <= stream.byteCount:
                end += length
                ends.append(end)
            case .length, .needMore:
                return ends
            }
        }
    }

    /// What is left when the stream ends: nil if it ended between two packets.
    package var faultAtEnd: NetstackError? {
        partial.readableBytes == 0
            ? nil : .framing(fault: "the stream ended \(partial.readableBytes) bytes into a packet")
    }
}
