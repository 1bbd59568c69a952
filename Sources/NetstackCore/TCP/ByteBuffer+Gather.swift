// Small pieces of a stream, together.

package import NIOCore

extension ByteBuffer {
    /// What is no longer than this is gathered to pieces of up to four times as much: always shorter than what segments share
    /// with their writers, whose memory nobody adds to.
    package static var gatheredLength: Int { 1023 }

    /// The same bytes, or a copy where they are less than half of the `total` that they were cut from: so that a peer whose
    /// segments overlap does not make us hold a long one for each byte.
    package func kept(of total: Int) -> ByteBuffer {
        readableBytes < total / 2 ? ByteBuffer(bytes: readableBytesView) : self
    }

    /// Appends `bytes` if both are small, so that one who writes or sends single bytes does not make us hold a buffer for
    /// each. Returns whether it did.
    package mutating func gather(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes <= Self.gatheredLength,
            readableBytes + bytes.readableBytes <= 4 * Self.gatheredLength
        else { return false }
        _ = writeImmutableBuffer(bytes)
        return true
    }
}
