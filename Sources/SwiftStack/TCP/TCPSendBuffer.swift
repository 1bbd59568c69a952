// The bytes that were written and are not acknowledged, as the buffers they came in.

import DequeModule
import NIOCore

/// A queue of bytes of which any range can be copied out. Its first byte is that of SND.UNA.
package struct TCPSendBuffer {
    /// Written together; `position` is where its first readable byte is in the stream.
    private struct Piece {
        var position: Int
        var bytes: ByteBuffer
    }

    private var pieces = Deque<Piece>()
    /// Whether the memory of `pieces` is worth giving back.
    private var hasGrown = false
    /// Where the first byte, and the one after the last, are in the stream.
    private var start = 0
    private var end = 0

    /// Bytes held.
    package var count: Int { end - start }

    /// Appends all of `bytes`, without a copy unless it is small and follows something small.
    mutating func append(_ bytes: inout ByteBuffer) {
        let length = bytes.readableBytes
        guard length > 0 else { return }
        if pieces.isEmpty || !pieces[pieces.count - 1].bytes.gather(bytes) {
            pieces.append(Piece(position: end, bytes: bytes))
            if pieces.count > 4 { hasGrown = true }
        }
        bytes.moveReaderIndex(forwardBy: length)
        end += length
    }

    /// Lets go of the first `count` bytes.
    mutating func removeFirst(_ count: Int) {
        start += Swift.min(count, self.count)
        if start == end {
            pieces.removeAll(keepingCapacity: !hasGrown)
            hasGrown = false
            return
        }
        while let first = pieces.first, first.position + first.bytes.readableBytes <= start { pieces.removeFirst() }
    }

    /// Copies `count` bytes from `offset` on (as in `TCPOutgoingSegment.payloadOffset`): the one copy that is made of
    /// what is sent. Copies no more than there are.
    package func copyBytes(from offset: Int, count: Int, to destination: UnsafeMutableRawPointer) {
        var position = start + offset
        let limit = Swift.min(position + count, end)
        guard offset >= 0, position < limit else { return }
        var destination = destination
        var index = indexOfPiece(containing: position)
        while position < limit {
            let piece = pieces[index]
            let skipped = position - piece.position
            let length = Swift.min(piece.bytes.readableBytes - skipped, limit - position)
            piece.bytes.withUnsafeReadableBytes { bytes in
                // Safe: the range lies inside of the piece, and `destination` has room for `count` bytes.
                UnsafeMutableRawBufferPointer(start: destination, count: length)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[skipped..<skipped + length]))
            }
            destination += length
            position += length
            index += 1
        }
    }

    /// The last piece that begins at or before `position`, by bisection.
    private func indexOfPiece(containing position: Int) -> Int {
        var low = 0
        var high = pieces.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if pieces[middle].position <= position { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

extension ByteBuffer {
    /// What is no longer than this is gathered to pieces of up to four times as much.
    private static var smallLength: Int { 1024 }

    /// Appends `bytes` if both are small, so that one who writes or sends single bytes does not make us hold a buffer for
    /// each. Returns whether it did.
    mutating func gather(_ bytes: ByteBuffer) -> Bool {
        guard bytes.readableBytes <= Self.smallLength,
            readableBytes + bytes.readableBytes <= 4 * Self.smallLength
        else { return false }
        _ = writeImmutableBuffer(bytes)
        return true
    }
}
