// Congestion avoidance that grows with the time since the last congestion, not with the round trips (RFC 9438).

package import NIOCore

package struct Cubic: CongestionAvoidance {
    /// W_max, in segments: the window that congestion was met at.
    private var maximumWindow = 0.0
    /// W_est, in segments: what Reno's window would be.
    private var renoWindow = 0.0
    /// cwnd_prior, in segments.
    private var priorWindow = 0.0
    /// K: the seconds until the curve is back at W_max.
    private var timeToMaximum = 0.0
    /// When the curve began; nil until congestion avoidance does.
    private var start: NIODeadline?
    /// When the window last grew.
    private var grewAt = NIODeadline.distantPast
    /// The part of a byte by which the window has still to grow.
    private var remainder = 0.0

    /// C, and β of section 4.6.
    private static let scale = 0.4
    private static let reduction = 0.7

    package init() {}

    /// Section 4.1 to 4.5: by how much the window grows for `length` bytes that were acknowledged.
    package mutating func growth(
        window: Int, acknowledged length: Int, segment: Int, roundTrip: TimeAmount, now: NIODeadline
    ) -> Int {
        let segmentLength = Double(max(segment, 1))
        let current = Double(window) / segmentLength
        let begin = start.map { skipPause(until: now, roundTrip, since: $0) } ?? beginEpoch(at: now, window: current)
        grewAt = now
        let elapsed = Double((now - begin).nanoseconds) * 1e-9
        let ahead = elapsed + Double(roundTrip.nanoseconds) * 1e-9 - timeToMaximum
        // Section 4.4 and 4.5: the target is what the curve says for a round trip later, within bounds.
        let target = min(max(Self.scale * ahead * ahead * ahead + maximumWindow, current), 1.5 * current)
        // Section 4.3: the region where Reno would be faster. Past its former window it grows by a whole segment.
        let acknowledged = Double(length) / segmentLength
        let slope = renoWindow >= priorWindow ? 1 : 3 * (1 - Self.reduction) / (1 + Self.reduction)
        renoWindow += slope * acknowledged / current
        let curve = elapsed - timeToMaximum
        let growth =
            Self.scale * curve * curve * curve + maximumWindow < renoWindow
            ? max(renoWindow - current, 0) : (target - current) * acknowledged / current
        let bytes = min(growth * segmentLength + remainder, Double(length))
        let whole = Int(bytes)
        remainder = bytes - Double(whole)
        return whole
    }

    /// Section 4.6 and 4.7: ssthresh, and with fast convergence a smaller W_max where the window did not get back to the
    /// last one, to make room for others. At least the initial window counts as in use: a small loss while there is little to
    /// send does not make the next transfer slow.
    package mutating func threshold(window: Int, flight: Int, segment: Int) -> Int {
        let used = min(window, max(flight, CongestionController.initialWindow(segment: segment)))
        let current = Double(used) / Double(max(segment, 1))
        maximumWindow = current < maximumWindow ? current * (1 + Self.reduction) / 2 : current
        priorWindow = current
        start = nil
        return Int(Double(used) * Self.reduction)
    }

    /// Section 4.8: the curve begins where the window is then.
    package mutating func timedOut() { maximumWindow = 0 }

    /// Section 4.2: time in which the window was not made use of, and did not grow, is no time of the curve.
    private mutating func skipPause(until now: NIODeadline, _ roundTrip: TimeAmount, since begin: NIODeadline)
        -> NIODeadline
    {
        let pause = now - grewAt - roundTrip
        guard pause > roundTrip else { return begin }
        start = begin + pause
        return begin + pause
    }

    private mutating func beginEpoch(at now: NIODeadline, window: Double) -> NIODeadline {
        start = now
        renoWindow = window
        remainder = 0
        if maximumWindow <= window { maximumWindow = window }
        timeToMaximum = Self.cubeRoot((maximumWindow - window) / Self.scale)
        return now
    }

    /// Newton's method: without Foundation there is no cube root. It converges from above within a few steps.
    private static func cubeRoot(_ value: Double) -> Double {
        guard value > 0 else { return 0 }
        var root = max(value, 1)
        for _ in 0..<64 {
            let next = (2 * root + value / (root * root)) / 3
            if root - next <= root * 1e-9 { return next }
            root = next
        }
        return root
    }
}

extension CongestionAvoidance where Self == Cubic {
    package static var cubic: Cubic { Cubic() }
}
