// Routers that drop long segments without a word: found by time-outs, and doubted later (RFC 4821).

import NIOCore
import NetstackCore

/// There while segments are kept shorter than peer and path have announced to take.
struct TCPPathSearch {
    /// What was sent before, and may get through after all.
    let size: Int
    /// A segment as long as that, on its way (section 7.5).
    var probe: (start: TCPSequenceNumber, end: TCPSequenceNumber)?
    /// When the next may leave.
    private(set) var nextProbeAt: NIODeadline
    private var losses: UInt8 = 0

    init(size: Int, now: NIODeadline) {
        self.size = size
        nextProbeAt = now
    }

    /// A single loss may be one of many. After three the path is as it seems, until it may have changed (RFC 1191 section
    /// 6.3).
    mutating func retransmitted(from start: TCPSequenceNumber, length: Int, now: NIODeadline) {
        guard let probe, start < probe.end, start + length > probe.start else { return }
        self.probe = nil
        losses += 1
        guard losses == 3 else { return }
        losses = 0
        nextProbeAt = now + .minutes(10)
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
        if pathSearch == nil { pathSearch = TCPPathSearch(size: sendMaximumSegmentSize, now: now) }
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
    mutating func endPathProbe() {
        guard let pathSearch, let probe = pathSearch.probe, sendUnacknowledged >= probe.end else { return }
        sendMaximumSegmentSize = pathSearch.size
        self.pathSearch = nil
    }
}
