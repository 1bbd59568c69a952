// Data that arrived ahead of a gap, and what selective acknowledgments say of them (RFC 9293 section 3.10.7.4, RFC 2018).

import NIOCore
import NetstackCore

/// Pieces of the stream beyond RCV.NXT. They don't overlap: of what arrives twice, the first is kept.
struct TCPReassemblyQueue {
    private struct Piece {
        var start: TCPSequenceNumber
        var bytes: ByteBuffer
        var end: TCPSequenceNumber { start + bytes.readableBytes }
    }

    /// In the order of their sequence numbers.
    private var pieces: [Piece] = []
    /// The runs of them without a gap, that which changed last first (RFC 2018 section 4); four at most.
    private(set) var blocks = SACKBlocks()

    /// More pieces than this are not kept, however small. Adjacent ones are joined up to `pieceLength`, so that this
    /// bounds gaps rather than segments.
    private static let maximumPieces = 256
    private static let pieceLength = 64 << 10

    var isEmpty: Bool { pieces.isEmpty }
    var firstStart: TCPSequenceNumber? { pieces.first?.start }

    /// Keeps of `bytes`, which begin at `start`, what is new. Returns whether there was room for all of it, and the first
    /// range that was there already.
    mutating func insert(
        _ bytes: ByteBuffer, at start: TCPSequenceNumber
    ) -> (isWhole: Bool, duplicate: SACKBlock?) {
        let end = start + bytes.readableBytes
        var duplicate: SACKBlock?
        var position = start
        var index = indexOfFirstPiece(endingAfter: start)
        while position < end {
            let next = index < pieces.count ? pieces[index].start : end
            if position < next {
                let gapEnd = next < end ? next : end
                guard add(bytes, from: position - start, count: gapEnd - position, at: position, before: &index) else {
                    break
                }
                position = gapEnd
            }
            if index < pieces.count, position < end, pieces[index].start <= position {
                let overlapEnd = pieces[index].end < end ? pieces[index].end : end
                if duplicate == nil { duplicate = SACKBlock(left: position.rawValue, right: overlapEnd.rawValue) }
                position = overlapEnd
                index += 1
            }
        }
        noteRun(around: start)
        return (position >= end, duplicate)
    }

    /// Adds a part of `bytes` before the piece at `index`, which then is moved on to stay at that piece.
    private mutating func add(
        _ bytes: ByteBuffer, from offset: Int, count: Int, at position: TCPSequenceNumber, before index: inout Int
    ) -> Bool {
        guard let part = bytes.getSlice(at: bytes.readerIndex + offset, length: count) else { return false }
        if index > 0, pieces[index - 1].end == position,
            pieces[index - 1].bytes.readableBytes + count <= Self.pieceLength
        {
            _ = pieces[index - 1].bytes.writeImmutableBuffer(part)
            return true
        }
        guard pieces.count < Self.maximumPieces else { return false }
        pieces.insert(Piece(start: position, bytes: part.kept(of: bytes.readableBytes)), at: index)
        index += 1
        return true
    }

    /// Takes what follows at `next` off the front; nil where the gap is still there.
    mutating func removeFirst(at next: TCPSequenceNumber) -> ByteBuffer? {
        while let first = pieces.first, first.start <= next {
            pieces.removeFirst()
            guard first.end > next else { continue }
            var bytes = first.bytes
            bytes.moveReaderIndex(forwardBy: next - first.start)
            return bytes
        }
        return nil
    }

    /// Forgets the blocks that `next`, the new RCV.NXT, has passed.
    mutating func dropBlocks(before next: TCPSequenceNumber) {
        guard !blocks.isEmpty else { return }
        var kept = SACKBlocks()
        if !pieces.isEmpty {
            for block in blocks where TCPSequenceNumber(block.right) > next { kept.append(block) }
        }
        blocks = kept
    }

    mutating func removeAll() {
        pieces = []
        blocks = SACKBlocks()
    }

    private func indexOfFirstPiece(endingAfter position: TCPSequenceNumber) -> Int {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end > position { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Puts the run that holds `position` first among the blocks.
    private mutating func noteRun(around position: TCPSequenceNumber) {
        let index = indexOfFirstPiece(endingAfter: position)
        guard index < pieces.count, pieces[index].start <= position else { return }
        var first = index
        while first > 0, pieces[first - 1].end == pieces[first].start { first -= 1 }
        var last = index
        while last + 1 < pieces.count, pieces[last + 1].start == pieces[last].end { last += 1 }
        let run = (start: pieces[first].start, end: pieces[last].end)
        var noted = SACKBlocks()
        noted.append(SACKBlock(left: run.start.rawValue, right: run.end.rawValue))
        for block in blocks where TCPSequenceNumber(block.right) < run.start || TCPSequenceNumber(block.left) > run.end
        {
            noted.append(block)
        }
        blocks = noted
    }
}
