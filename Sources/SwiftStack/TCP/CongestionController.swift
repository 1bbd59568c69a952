// How much may be in flight: slow start and congestion avoidance (RFC 5681), and what is common to the algorithms.

import NIOCore

struct CongestionController {
    /// cwnd, in bytes.
    private(set) var window: Int
    /// ssthresh, in bytes.
    private(set) var slowStartThreshold = Int.max
    private var avoidance: any CongestionAvoidance
    private var slowStart = HyStart()
    /// What congestion has last cost, to be given back if there was none (RFC 4015 section 3.2).
    private var beforeReduction: (window: Int, slowStartThreshold: Int)?

    /// RFC 6928 section 2: ten segments; one after a handshake that had trouble (RFC 5681 section 3.1).
    static func initialWindow(segment: Int) -> Int { min(10 * segment, max(2 * segment, 14600)) }

    init(_ avoidance: any CongestionAvoidance, window: Int) {
        self.avoidance = avoidance
        self.window = window
    }

    var isInSlowStart: Bool { window < slowStartThreshold }

    /// `length` bytes were acknowledged outside of recovery, while the window was made use of (RFC 7661 section 4.3).
    mutating func grow(acknowledged length: Int, segment: Int, smoothedRoundTrip: TimeAmount, now: NIODeadline) {
        var length = length
        if isInSlowStart {
            let growth = min(slowStart.growth(acknowledged: length), slowStartThreshold - window)
            window += growth
            length -= growth
            guard !isInSlowStart, length > 0, !slowStart.isConservative else { return }
        }
        window += avoidance.growth(
            window: window, acknowledged: length, segment: segment, roundTrip: smoothedRoundTrip, now: now)
        window = min(window, Self.maximumWindow)
    }

    /// A round trip was measured: slow start ends where they grow (RFC 9406).
    mutating func measured(_ roundTrip: TimeAmount, acknowledged: TCPSequenceNumber, sendNext: TCPSequenceNumber) {
        guard isInSlowStart else { return }
        if slowStart.measured(roundTrip, acknowledged: acknowledged, sendNext: sendNext) { slowStartThreshold = window }
    }

    /// The link takes no more for now. What waits before it makes round trips longer, and holds up its writers by itself:
    /// were slow start to end for that, connections that share the link would be left with windows as unequal as their
    /// starts.
    mutating func heldUpByLink() { slowStart = HyStart() }

    /// Congestion was noticed, with `flight` bytes in the network: sets ssthresh.
    mutating func reduce(flight: Int, segment: Int) {
        beforeReduction = (window, slowStartThreshold)
        slowStartThreshold = max(avoidance.threshold(window: window, flight: flight, segment: segment), 2 * segment)
    }

    /// The retransmission timer has expired: a single segment (RFC 5681 section 3.1), and slow start from there.
    mutating func collapse(segment: Int) {
        window = segment
        slowStart = HyStart()
        avoidance.timedOut()
    }

    /// Recovery governs the window for the time being (RFC 6937), or has ended and left it at ssthresh.
    mutating func set(window: Int, segment: Int) { self.window = max(window, segment) }

    /// What was taken for congestion was none (RFC 4015 section 3.2). CUBIC begins a curve where the window is now: with its old
    /// one, as RFC 9438 section 4.9 has it, long paths that reorder lose 4 % (LossGrid).
    mutating func undoReduction() {
        guard let before = beforeReduction else { return }
        window = max(window, before.window)
        slowStartThreshold = max(slowStartThreshold, before.slowStartThreshold)
        beforeReduction = nil
    }

    /// The window has not been made use of for long: what it was is forgotten by halves (RFC 7661 section 4.4.3).
    mutating func decay(segment: Int) {
        slowStartThreshold = max(slowStartThreshold, window / 4 * 3)
        window = max(window / 2, min(window, Self.initialWindow(segment: segment)))
        slowStart = HyStart()
    }

    /// No window of a peer is larger (RFC 7323 section 2.3).
    private static let maximumWindow = 1 << 30
}
