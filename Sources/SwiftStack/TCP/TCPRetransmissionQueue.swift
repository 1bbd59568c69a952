// What has been sent and is not acknowledged: the scoreboard of RFC 6675 section 3, with the times that RFC 8985 needs.

import DequeModule
import NIOCore
import NetstackCore

/// Records of what was sent, in the order of their sequence numbers, without gaps from SND.UNA to SND.NXT. A record is a
/// long segment or part of one; it is split where an acknowledgment, a loss or a retransmission covers a part, and what
/// is selectively acknowledged side by side is joined: their number is that of the holes, not of the segments.
struct TCPRetransmissionQueue {
    struct Record {
        var start: TCPSequenceNumber
        var length: UInt32
        var sentAt: NIODeadline
        var marks: Marks

        var end: TCPSequenceNumber { start + Int(length) }
    }

    struct Marks: OptionSet {
        let rawValue: UInt8
        /// Selectively acknowledged.
        static let sacked = Marks(rawValue: 1)
        /// Taken for lost, and not sent again since.
        static let lost = Marks(rawValue: 2)
        /// Sent more than once.
        static let retransmitted = Marks(rawValue: 4)
    }

    private var records = Deque<Record>()
    /// A peer that acknowledges every other byte does not make more records than this.
    private static let maximumCount = 8192
    /// Whether the memory of `records` is worth giving back.
    private var hasGrown = false
    /// Sequence numbers that are marked so.
    private(set) var sackedLength = 0
    private(set) var lostLength = 0
    /// No record before this one is lost.
    private var firstLost = TCPSequenceNumber(0)

    var isEmpty: Bool { records.isEmpty }
    var count: Int { records.count }
    var first: Record? { records.first }
    var last: Record? { records.last }

    /// Notes what was sent for the first time. Joins it to what was sent at the same instant.
    mutating func append(_ record: Record) {
        let lastIndex = records.count - 1
        if lastIndex >= 0, records[lastIndex].sentAt == record.sentAt, records[lastIndex].marks.isEmpty,
            Int(records[lastIndex].length) + Int(record.length) < 1 << 30
        {
            records[lastIndex].length += record.length
        } else {
            records.append(record)
            if records.count > 4 { hasGrown = true }
        }
    }

    /// Gives back memory that nothing lies in.
    mutating func shrink() { if records.isEmpty { records = [] } }

    /// Drops what lies before `acknowledgment`, the new SND.UNA.
    mutating func acknowledge(upTo acknowledgment: TCPSequenceNumber, _ delivery: inout TCPDelivery) {
        while let first = records.first, first.start < acknowledgment {
            if first.end > acknowledgment {
                split(at: 0, length: acknowledgment - first.start)
                continue
            }
            records.removeFirst()
            unmark(first)
            if !first.marks.contains(.sacked) { delivery.add(first) }
            delivery.acknowledgedRetransmission =
                delivery.acknowledgedRetransmission || first.marks.contains(.retransmitted)
        }
        if records.isEmpty, hasGrown {
            records = []
            hasGrown = false
        }
    }

    /// Marks what `block` covers. A block that reaches beyond what was sent says nothing (RFC 2018 section 5).
    mutating func markSacked(_ block: SACKBlock, _ delivery: inout TCPDelivery) {
        let left = TCPSequenceNumber(block.left)
        let right = TCPSequenceNumber(block.right)
        guard let first, let last, left >= first.start, left < right, right <= last.end,
            records.count < Self.maximumCount
        else { return }
        var index = indexOfRecord(containing: left)
        while index < records.count, records[index].start < right {
            if records[index].marks.contains(.sacked) {
                index += 1
                continue
            }
            if records[index].start < left {
                split(at: index, length: left - records[index].start)
                index += 1
            }
            if records[index].end > right { split(at: index, length: right - records[index].start) }
            delivery.add(records[index])
            unmark(records[index])
            records[index].marks.remove(.lost)
            records[index].marks.insert(.sacked)
            sackedLength += Int(records[index].length)
            index = joinSacked(at: index) + 1
        }
    }

    /// Joins the sacked record at `index` to its sacked neighbours. Returns where it is then.
    private mutating func joinSacked(at index: Int) -> Int {
        var index = index
        if index + 1 < records.count, records[index + 1].marks.contains(.sacked) {
            records[index].length += records[index + 1].length
            records[index].marks.formUnion(records[index + 1].marks)
            records.remove(at: index + 1)
        }
        if index > 0, records[index - 1].marks.contains(.sacked) {
            records[index - 1].length += records[index].length
            records[index - 1].marks.formUnion(records[index].marks)
            records.remove(at: index)
            index -= 1
        }
        return index
    }

    /// Marks what was sent before `recent`, the newest that was delivered, and is older than `age` (RFC 8985 section 6.2 step 5).
    /// Returns when the first of what is not old enough will be.
    mutating func markLost(
        sentBefore recent: (sentAt: NIODeadline, end: TCPSequenceNumber), age: TimeAmount, now: NIODeadline
    )
        -> NIODeadline?
    {
        var next: NIODeadline?
        for index in records.indices {
            let record = records[index]
            guard record.marks.isDisjoint(with: [.sacked, .lost]) else { continue }
            guard record.sentAt < recent.sentAt || (record.sentAt == recent.sentAt && record.end < recent.end) else {
                // First transmissions are in the order of their times, and all that follows was sent after this one.
                if record.marks.contains(.retransmitted) { continue }
                break
            }
            if record.sentAt + age <= now {
                markLost(at: index)
            } else {
                next = min(next ?? .distantFuture, record.sentAt + age)
            }
        }
        return next
    }

    /// Marks the first `length` of what is not acknowledged (RFC 6582 section 3.2; RFC 8985 section 7.4.2).
    mutating func markFirstLost(length: Int) {
        guard let first, first.marks.isDisjoint(with: [.sacked, .lost]) else { return }
        if Int(first.length) > length { split(at: 0, length: length) }
        markLost(at: 0)
    }

    /// Marks `length` from `start` on, which were sent as one segment.
    mutating func markLost(from start: TCPSequenceNumber, length: Int) {
        guard !records.isEmpty else { return }
        var index = indexOfRecord(containing: start)
        guard records[index].start <= start, start + length <= records[index].end,
            records[index].marks.isDisjoint(with: [.sacked, .lost])
        else { return }
        if records[index].start < start {
            split(at: index, length: start - records[index].start)
            index += 1
        }
        split(at: index, length: length)
        markLost(at: index)
    }

    /// The retransmission timer has expired: the first record is lost, and all others that are older than `age` (RFC 8985
    /// section 6.3). The peer may have dropped what it had selectively acknowledged (RFC 2018 section 8).
    mutating func markLostOnTimeout(age: TimeAmount, now: NIODeadline) {
        let old = records
        records = []
        sackedLength = 0
        lostLength = 0
        firstLost = old.first?.start ?? firstLost
        for var record in old {
            record.marks.remove(.sacked)
            if records.isEmpty || record.marks.contains(.lost) || record.sentAt + age <= now {
                record.marks.insert(.lost)
                lostLength += Int(record.length)
                // Nothing tells lost neighbours apart: joined, they are sent again in long segments.
                if let last = records.last, last.marks.contains(.lost), Int(last.length) + Int(record.length) < 1 << 30
                {
                    records[records.count - 1].length += record.length
                    records[records.count - 1].marks.formUnion(record.marks)
                    continue
                }
            }
            records.append(record)
        }
    }

    /// Nothing is lost after all.
    mutating func forgetLosses() {
        guard lostLength > 0 else { return }
        for index in records.indices { records[index].marks.remove(.lost) }
        lostLength = 0
    }

    /// The first lost record; it is where to send again.
    mutating func nextLost() -> Record? {
        guard lostLength > 0 else { return nil }
        var index = indexOfRecord(containing: firstLost)
        while index < records.count {
            if records[index].marks.contains(.lost) {
                firstLost = records[index].start
                return records[index]
            }
            index += 1
        }
        return nil
    }

    /// Notes that `length` from `start` on were sent again.
    mutating func retransmitted(from start: TCPSequenceNumber, length: Int, now: NIODeadline) {
        guard length > 0, !records.isEmpty else { return }
        var index = indexOfRecord(containing: start)
        if records[index].start < start {
            split(at: index, length: start - records[index].start)
            index += 1
        }
        if Int(records[index].length) > length { split(at: index, length: length) }
        unmark(records[index])
        records[index].marks.remove([.lost, .sacked])
        records[index].marks.insert(.retransmitted)
        records[index].sentAt = now
    }

    private mutating func markLost(at index: Int) {
        records[index].marks.insert(.lost)
        if lostLength == 0 || records[index].start < firstLost { firstLost = records[index].start }
        lostLength += Int(records[index].length)
    }

    private mutating func unmark(_ record: Record) {
        if record.marks.contains(.sacked) { sackedLength -= Int(record.length) }
        if record.marks.contains(.lost) { lostLength -= Int(record.length) }
    }

    /// Makes two records of the one at `index`, the first of them `length` long.
    private mutating func split(at index: Int, length: Int) {
        var rest = records[index]
        guard length > 0, length < Int(rest.length) else { return }
        records[index].length = UInt32(length)
        rest.start += length
        rest.length -= UInt32(length)
        records.insert(rest, at: index + 1)
    }

    /// The last record that begins at or before `sequence`, by bisection; the first where none does.
    private func indexOfRecord(containing sequence: TCPSequenceNumber) -> Int {
        var low = 0
        var high = records.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if records[middle].start <= sequence { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

/// What one acknowledgment tells of, cumulatively and selectively together (RFC 8985 section 6.2 steps 1 to 3).
struct TCPDelivery {
    /// Sequence numbers that are known to have arrived by it.
    var length = 0
    /// The most recently sent of them.
    var recent: (sentAt: NIODeadline, end: TCPSequenceNumber)?
    /// When the most recent of those that were sent once was sent (Karn's algorithm: the others tell no round trip).
    var sentOnceAt: NIODeadline?
    /// The highest end of those that were sent once, and the lowest.
    var highestEnd: TCPSequenceNumber?
    var lowestEndSentOnce: TCPSequenceNumber?
    /// Whether something that was sent twice is cumulatively acknowledged.
    var acknowledgedRetransmission = false

    let now: NIODeadline
    /// A retransmission that seems to have been answered sooner than this was not: its original was.
    let minimumRoundTrip: TimeAmount
    /// What is answered was sent before this, as its timestamp says (RFC 7323 section 4).
    let echo: NIODeadline?

    init(now: NIODeadline, minimumRoundTrip: TimeAmount, echo: NIODeadline?) {
        self.now = now
        self.minimumRoundTrip = minimumRoundTrip
        self.echo = echo
    }

    mutating func add(_ record: TCPRetransmissionQueue.Record) {
        length += Int(record.length)
        if let highest = highestEnd, highest >= record.end {} else { highestEnd = record.end }
        if record.marks.contains(.retransmitted) {
            if let echo, echo <= record.sentAt { return }
            if now - record.sentAt < minimumRoundTrip { return }
        } else {
            sentOnceAt = max(sentOnceAt ?? record.sentAt, record.sentAt)
            if let lowest = lowestEndSentOnce, lowest <= record.end {} else { lowestEndSentOnce = record.end }
        }
        if let recent, recent.sentAt > record.sentAt || (recent.sentAt == record.sentAt && recent.end >= record.end) {
            return
        }
        recent = (record.sentAt, record.end)
    }
}
