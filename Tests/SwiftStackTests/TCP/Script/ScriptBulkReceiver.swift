// The peer of a bulk transfer: gets what is not lost, and acknowledges it as RFC 5681 and RFC 2018 have it.

import NetstackCore

struct ScriptBulkReceiver {
    /// How many segments of new data get lost, from the first on.
    var losses = 0
    /// One beyond what has arrived without a gap, and what has arrived beyond that, by position.
    private var next: Int?
    private var islands: [Range<Int>] = []
    private var highestSeen = 0
    private var unacknowledged = 0
    private var answers: [(time: Int64, acknowledgment: SegmentPattern)] = []

    var nextAnswer: Int64? { answers.first?.time }

    mutating func takeAnswer(at time: Int64) -> SegmentPattern? {
        guard let first = answers.first, first.time <= time else { return nil }
        answers.removeFirst()
        return first.acknowledgment
    }

    /// `segments` are sent together, and so are the answers.
    mutating func receive(_ segments: [SentSegment], answersArriveAt time: Int64) {
        for segment in segments where !segment.sequence.isEmpty {
            if next == nil { next = segment.sequence.lowerBound }
            let isNew = segment.sequence.upperBound > highestSeen
            highestSeen = max(highestSeen, segment.sequence.upperBound)
            if isNew, losses > 0 {
                losses -= 1
                continue
            }
            let wasInOrder = islands.isEmpty && segment.sequence.lowerBound == next
            take(segment.sequence)
            unacknowledged += 1
            if !wasInOrder || unacknowledged == 2 { answer(at: time, latest: segment.sequence) }
        }
        if unacknowledged > 0 { answer(at: time, latest: nil) }
    }

    private mutating func take(_ range: Range<Int>) {
        islands.append(range)
        islands.sort { $0.lowerBound < $1.lowerBound }
        var merged: [Range<Int>] = []
        for island in islands {
            if let last = merged.last, island.lowerBound <= last.upperBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, island.upperBound)
            } else {
                merged.append(island)
            }
        }
        if let first = merged.first, let next, first.lowerBound <= next {
            self.next = max(next, first.upperBound)
            merged.removeFirst()
        }
        islands = merged
    }

    private mutating func answer(at time: Int64, latest: Range<Int>?) {
        unacknowledged = 0
        var pattern = SegmentPattern(flags: .ack)
        pattern.acknowledgment = next
        if let latest, let island = islands.first(where: { $0.overlaps(latest) }) {
            pattern.options.sackBlocks = [island]
        }
        answers.append((time, pattern))
    }
}
