// How long an acknowledgment takes, and how long to wait for one (RFC 6298).

import NIOCore

struct RoundTripEstimator {
    /// SRTT; nil before the first measurement.
    private(set) var smoothed: TimeAmount?
    /// RTTVAR.
    private var variation = TimeAmount.zero
    /// RTO, before it is backed off.
    private var timeout: TimeAmount
    /// How often the timer has expired since the last acknowledgment of something new (section 5.5).
    var backOffs: UInt8 = 0

    init(initialTimeout: TimeAmount) { timeout = initialTimeout }

    /// Section 2. The variation counts for a millisecond at least, the granularity (G) of the timers that drive this.
    mutating func measure(_ roundTrip: TimeAmount, minimumTimeout: TimeAmount) {
        if let smoothed {
            let difference = TimeAmount.nanoseconds(abs(smoothed.nanoseconds - roundTrip.nanoseconds))
            variation = .nanoseconds((3 * variation.nanoseconds + difference.nanoseconds) / 4)
            self.smoothed = .nanoseconds((7 * smoothed.nanoseconds + roundTrip.nanoseconds) / 8)
        } else {
            smoothed = roundTrip
            variation = .nanoseconds(roundTrip.nanoseconds / 2)
        }
        let smoothed = smoothed ?? roundTrip
        timeout = max(minimumTimeout, smoothed + max(.milliseconds(1), variation * 4))
    }

    /// Section 5.7: the handshake's timer has expired, and its acknowledgment can't tell a round trip.
    mutating func assumeSlowPath() {
        if smoothed == nil { timeout = max(timeout, .seconds(3)) }
    }

    /// RTO, doubled for every time that it has expired (section 5.5).
    func timeout(atMost maximum: TimeAmount) -> TimeAmount {
        let doubled = timeout.nanoseconds.multipliedReportingOverflow(by: 1 << Int64(min(backOffs, 30)))
        return doubled.overflow ? maximum : min(.nanoseconds(doubled.partialValue), maximum)
    }
}
