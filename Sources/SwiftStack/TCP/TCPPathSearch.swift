// Routers that drop long segments without a word: found by time-outs, and doubted later (RFC 4821).

import NIOCore
import NetstackCore

/// There while segments are kept shorter than peer and NIC have announced to take.
struct TCPPathSearch {
    /// What peer and NIC take.
    let longest: Int
    /// What is tried next.
    private(set) var size: Int
    /// A segment as long as that, on its way (section 7.5).
    var probe: (start: TCPSequenceNumber, end: TCPSequenceNumber)?
    /// When the next may leave.
    private(set) var nextProbeAt: NIODeadline
    private var losses: UInt8 = 0

    /// Begins at once.
    init(longest: Int, now: NIODeadline) {
        self.longest = longest
        size = longest
        nextProbeAt = now
    }

    /// The path is known to take no more than is sent, for the time being (RFC 1191 section 6.3).
    mutating func postpone(now: NIODeadline) {
        probe = nil
        size = longest
        nextProbeAt = now + Self.validity
    }

    /// The path may take `size`, which is less than the longest.
    mutating func tries(_ size: Int, now: NIODeadline) {
        probe = nil
        self.size = min(size, longest)
        nextProbeAt = now
    }

    /// How long what is known of a path is taken for true.
    private static let validity = TimeAmount.minutes(10)

    /// A single loss may be one of many. After three the path is as it seems, until it may have changed (RFC 1191 section
    /// 6.3).
    mutating func retransmitted(from start: TCPSequenceNumber, length: Int, now: NIODeadline) {
        guard let probe, start < probe.end, start + length > probe.start else { return }
        self.probe = nil
        losses += 1
        guard losses == 3 else { return }
        losses = 0
        nextProbeAt = now + Self.validity
    }
}

extension TCPStateMachine {
    /// What every path takes (RFC 9293 section 3.7.1).
    private static let safeSegmentSize = 536

    /// RFC 4821 section 7.7: where segments of full size vanish time and again, shorter ones are tried.
    mutating func suspectBlackHole(now: NIODeadline) {
        guard unansweredTimeouts.isMultiple(of: 3), sendMaximumSegmentSize > Self.safeSegmentSize,
            let first = retransmissions.first, Int(first.length) >= segmentSize
        else { return }
        var search = pathSearch ?? TCPPathSearch(longest: sendMaximumSegmentSize, now: now)
        // What got through so far is tried before what never did.
        if search.nextProbeAt > now { search.tries(sendMaximumSegmentSize, now: now) }
        pathSearch = search
        sendMaximumSegmentSize = max(sendMaximumSegmentSize / 2, Self.safeSegmentSize)
    }

    /// Now that short segments get through, do long ones, and was it mere loss? Nil where no probe may leave: one at a time,
    /// and not in recovery (section 7.4).
    func lengthOfPathProbe(unsent: Int, optionsLength: Int, now: NIODeadline) -> Int? {
        guard let pathSearch, pathSearch.probe == nil, pathSearch.nextProbeAt <= now, case .none = recovery,
            pending.isDisjoint(with: [.override, .tailLossProbe])
        else { return nil }
        let length = pathSearch.size - optionsLength
        return length <= min(unsent, sendUnacknowledged + sendWindow - sendNext) ? length : nil
    }

    /// Section 7.6.1: a probe that has arrived, and was not sent again, tells what the path takes.
    mutating func endPathProbe(now: NIODeadline) {
        guard let search = pathSearch, let probe = search.probe, sendUnacknowledged >= probe.end else { return }
        sendMaximumSegmentSize = search.size
        if search.size < search.longest {
            pathSearch?.postpone(now: now)
        } else {
            pathSearch = nil
        }
    }

    /// Section 7.4: a probe that gets lost alone is no sign of congestion.
    var isOnlyProbeLost: Bool {
        mutating get {
            guard let probe = pathSearch?.probe else { return false }
            return retransmissions.lostLength <= probe.end - probe.start
                && retransmissions.nextLost()?.start == probe.start
        }
    }

    /// A router has said how long segments may be. Where longer ones than are sent now were found to vanish, that may be what
    /// gets through.
    mutating func notePathTakes(_ size: Int, now: NIODeadline) {
        let longest = pathSearch?.longest ?? sendMaximumSegmentSize
        guard size < longest else { return }
        var search = pathSearch ?? TCPPathSearch(longest: longest, now: now)
        if size > sendMaximumSegmentSize { search.tries(size, now: now) } else { search.postpone(now: now) }
        pathSearch = search
    }
}
