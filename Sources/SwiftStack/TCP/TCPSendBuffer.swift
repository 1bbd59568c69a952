// The bytes that were written and are not acknowledged, as the buffers they came in.

import DequeModule
package import NIOCore
import NetstackCore

/// A queue of bytes of which any range can be copied out. Its first byte is that of SND.UNA.
package struct TCPSendBuffer {
    /// The first `length` readable bytes of a buffer; `position` is where the first of them is in the stream.
    fileprivate struct Piece {
        var position: Int
        var length: Int
        var bytes: ByteBuffer

        var end: Int { position + length }
    }

    private var pieces = Deque<Piece>()
    /// Whether the memory of `pieces` is worth giving back.
    private var hasGrown = false
    /// Where the first byte, and the one after the last, are in the stream.
    private var start = 0
    private var end = 0

    package init() {}

    /// Bytes held.
    package var count: Int { end - start }

    /// Takes `length` bytes off the front of `bytes`, without a copy unless they are few and follow few.
    package mutating func append(_ bytes: inout ByteBuffer, length: Int) {
        guard length > 0, let part = bytes.getSlice(at: bytes.readerIndex, length: length) else { return }
        if pieces.isEmpty || !pieces[pieces.count - 1].add(part) {
            pieces.append(
                Piece(position: end, length: length, bytes: length > ByteBuffer.gatheredLength ? bytes : part))
            if pieces.count > 4 { hasGrown = true }
        }
        bytes.moveReaderIndex(forwardBy: length)
        end += length
    }

    /// Lets go of the first `count` bytes.
    package mutating func removeFirst(_ count: Int) {
        start += Swift.min(count, self.count)
        if start == end {
            pieces.removeAll(keepingCapacity: !hasGrown)
            hasGrown = false
            return
        }
        while let first = pieces.first, first.end <= start { pieces.removeFirst() }
    }

    /// Gives back memory that nothing lies in.
    mutating func shrink() { if pieces.isEmpty { pieces = Deque() } }

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
            let length = Swift.min(piece.length - skipped, limit - position)
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

    /// The same bytes as a buffer: without a copy where they are many and lie in one piece.
    package func bytes(from offset: Int, count: Int) -> ByteBuffer {
        let position = start + offset
        if offset >= 0, count >= OffloadedSegment.minimumLength, position + count <= end {
            let piece = pieces[indexOfPiece(containing: position)]
            let index = piece.bytes.readerIndex + position - piece.position
            if position + count <= piece.end, let slice = piece.bytes.getSlice(at: index, length: count) {
                return slice
            }
        }
        var copy = ByteBuffer()
        copy.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
            // Safe: there is room for `count` bytes.
            if let start = bytes.baseAddress { copyBytes(from: offset, count: count, to: start) }
            return count
        }
        return copy
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

extension TCPSendBuffer.Piece {
    /// Adds `part` if it lies behind this in the same memory, or if both are small.
    fileprivate mutating func add(_ part: ByteBuffer) -> Bool {
        let isNext = bytes.withUnsafeReadableBytes { bytes in
            part.withUnsafeReadableBytes { part in
                // Nobody has changed it since: whoever shares memory with a `ByteBuffer` copies it first.
                length + part.count <= bytes.count && bytes.baseAddress.map { $0 + length } == part.baseAddress
            }
        }
        guard isNext || length == bytes.readableBytes && bytes.gather(part) else { return false }
        length += part.readableBytes
        return true
    }
}
