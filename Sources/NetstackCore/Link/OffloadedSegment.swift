// A long segment of TCP as links within the process carry it: not cut to packets, its data not copied.

package import NIOCore

/// What stands for all packets of a segment with data (segmentation and checksum offload): nothing gets lost or changed on a
/// link within the process, and what both ends would only cut, sum, check and join again is left as it is.
package struct OffloadedSegment: Sendable {
    /// Shorter data are not worth it.
    package static let minimumLength = 4096

    /// The segment's packet without its data: the headers, with their checksums.
    package let header: ByteBuffer
    package let data: ByteBuffer
    /// How many packets it stands for.
    package let count: Int

    package init(header: ByteBuffer, data: ByteBuffer, count: Int) {
        self.header = header
        self.data = data
        self.count = count
    }

    /// Of all packets together, in bytes.
    var byteCount: Int { count * header.readableBytes + data.readableBytes }
}
