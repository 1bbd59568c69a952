// How long an acknowledgment takes, and how long to wait for one (RFC 6298).

import NIOCore

struct RoundTripEstimator {
    /// SRTT; nil before the first measurement.
    private(set) var smoothed: TimeAmount?
    /// RTTVAR.
    private var variation = TimeAmount.zero
    /// The largest |SRTT − R'| since the last round trip began.
    private var largestDifference = TimeAmount.zero
    /// RTO, before it is backed off.
    private var timeout: TimeAmount
    /// How often the timer has expired since the last acknowledgment of something new (section 5.5).
    var backOffs: UInt8 = 0

    init(initialTimeout: TimeAmount) { timeout = initialTimeout }

    /// Section 2. Every sample goes into SRTT, so that it keeps up with a queue that grows; of a round trip the largest goes
    /// into RTTVAR, whose memory would else be shorter than a round trip (RFC 7323 section 4.2). `minimumVariation` is the
    /// least that is waited beyond SRTT: of an RTO as a whole, it would protect no path that is longer.
    mutating func measure(_ roundTrip: TimeAmount, isRoundOver: Bool, minimumVariation: TimeAmount) {
        guard let smoothed else {
            smoothed = roundTrip
            variation = .nanoseconds(roundTrip.nanoseconds / 2)
            timeout = roundTrip + max(minimumVariation, variation * 4)
            return
        }
        largestDifference = max(largestDifference, .nanoseconds(abs(smoothed.nanoseconds - roundTrip.nanoseconds)))
        let varied = TimeAmount.nanoseconds((3 * variation.nanoseconds + largestDifference.nanoseconds) / 4)
        if isRoundOver {
            variation = varied
            largestDifference = .zero
        }
        let updated = TimeAmount.nanoseconds((7 * smoothed.nanoseconds + roundTrip.nanoseconds) / 8)
        self.smoothed = updated
        timeout = updated + max(minimumVariation, max(variation, varied) * 4)
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
