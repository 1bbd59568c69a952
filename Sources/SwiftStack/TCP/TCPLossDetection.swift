// What was lost, told by time: RACK-TLP (RFC 8985).

import NIOCore
import NetstackCore

struct TCPLossDetection {
    /// RACK.xmit_ts and RACK.end_seq: the most recently sent of what was delivered. Nil before the first.
    private(set) var recent: (sentAt: NIODeadline, end: TCPSequenceNumber)?
    /// RACK.rtt.
    private(set) var roundTrip = TimeAmount.zero
    /// RACK.fack: the end of what was delivered.
    private var forward: TCPSequenceNumber
    /// RACK.reordering_seen.
    var hasSeenReordering = false
    /// RACK.reo_wnd_mult and RACK.reo_wnd_persist: DSACKs widen the reordering window for sixteen recoveries.
    private var windowMultiplier: UInt8 = 1
    private var windowRecoveries: UInt8 = 0
    /// RACK.dsack_round: not widened again before this is acknowledged.
    private var dsackRound: TCPSequenceNumber?
    /// RACK.min_RTT, within the last minutes, and when it was measured.
    private(set) var minimumRoundTrip = TimeAmount.zero
    private var minimumMeasuredAt = NIODeadline.uptimeNanoseconds(0)
    /// TLP.end_seq and TLP.is_retrans: the probe that is on its way.
    var probe: (end: TCPSequenceNumber, isRetransmission: Bool)?

    /// DupThresh of RFC 6675.
    static let duplicateThreshold = 3

    init(forward: TCPSequenceNumber) { self.forward = forward }

    mutating func measured(_ sample: TimeAmount, now: NIODeadline) {
        // A path may change to a longer one: an old minimum is none.
        if minimumRoundTrip == .zero || sample <= minimumRoundTrip || now - minimumMeasuredAt > .minutes(5) {
            minimumRoundTrip = sample
            minimumMeasuredAt = now
        }
    }

    /// Section 6.2 steps 2 and 3.
    mutating func update(_ delivery: TCPDelivery) {
        if let lowest = delivery.lowestEndSentOnce, lowest < forward { hasSeenReordering = true }
        if let highest = delivery.highestEnd, highest > forward { forward = highest }
        guard let newest = delivery.recent else { return }
        roundTrip = delivery.now - newest.sentAt
        if let recent, recent.sentAt > newest.sentAt || (recent.sentAt == newest.sentAt && recent.end >= newest.end) {
            return
        }
        recent = newest
    }

    /// Section 6.2 step 4: the reordering window. `sacked` bytes beyond the first gap tell of a loss, not of reordering, on
    /// a path that has shown none.
    func reorderingWindow(sacked: Int, segment: Int, isRecovering: Bool, smoothed: TimeAmount?) -> TimeAmount {
        if !hasSeenReordering, isRecovering || sacked > (Self.duplicateThreshold - 1) * segment { return .zero }
        let window = TimeAmount.nanoseconds(minimumRoundTrip.nanoseconds / 4 * Int64(windowMultiplier))
        return min(window, smoothed ?? window)
    }

    /// A DSACK: the window was too narrow.
    mutating func noteDuplicate(acknowledged: TCPSequenceNumber, sendNext: TCPSequenceNumber) {
        if let round = dsackRound, acknowledged < round { return }
        dsackRound = sendNext
        windowMultiplier = windowMultiplier == .max ? .max : windowMultiplier + 1
        windowRecoveries = 16
    }

    mutating func acknowledged(upTo sequence: TCPSequenceNumber) {
        if let round = dsackRound, sequence >= round { dsackRound = nil }
    }

    mutating func recoveryEnded() {
        guard windowRecoveries > 0 else { return }
        windowRecoveries -= 1
        if windowRecoveries == 0 { windowMultiplier = 1 }
    }

    /// Section 7.2: how long to wait for a sign of the last segments. A peer may delay the acknowledgment of a single one.
    func probeTimeout(smoothed: TimeAmount?, flight: Int, segment: Int) -> TimeAmount {
        guard let smoothed else { return .seconds(1) }
        return max(.milliseconds(2), smoothed * 2) + (flight <= segment ? Self.worstDelay : .zero)
    }

    /// WCDelAckT.
    private static let worstDelay = TimeAmount.milliseconds(200)
}
