// How much may be sent for each acknowledgment while losses are mended: PRR (RFC 6937).

/// Brings what is in flight down to ssthresh in the course of a round trip.
struct ProportionalRateReduction {
    /// RecoverFS: what was in flight when recovery began.
    private let flightAtStart: Int
    /// prr_delivered and prr_out.
    private var delivered = 0
    private var sent = 0

    init(flight: Int) { flightAtStart = max(flight, 1) }

    /// How much may leave now that `length` bytes more were delivered, with `pipe` bytes in flight. `isProgressing` says
    /// that SND.UNA has advanced and nothing more was lost: only then there may be more than what was delivered (the
    /// choice between the two reduction bounds as section 3 leaves it, made by RFC 9937).
    mutating func quota(delivered length: Int, pipe: Int, threshold: Int, segment: Int, isProgressing: Bool) -> Int {
        delivered += length
        let quota: Int
        if pipe > threshold {
            // No window is longer than 2^30, and recovery ends after one, so that the product fits.
            quota = (delivered &* threshold &+ flightAtStart &- 1) / flightAtStart - sent
        } else {
            let limit = isProgressing ? max(delivered - sent, length) + segment : max(delivered - sent, 0)
            quota = min(threshold - pipe, limit)
        }
        // The first retransmission leaves in any case.
        return max(quota, sent == 0 ? segment : 0)
    }

    mutating func sent(_ length: Int) { sent += length }
}
