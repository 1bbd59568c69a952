// The end of slow start before it overshoots: HyStart++ (RFC 9406).

import NIOCore

/// Watches the round trips of slow start. Where they grow, slow start goes on more slowly for a few rounds, and then ends
/// unless they have shrunk again.
struct HyStart {
    /// The shortest round trip of this round, and of the last, in microseconds.
    private var shortest = UInt32.max
    private var shortestOfLast = UInt32.max
    /// The shortest of all.
    private var least = UInt32.max
    /// The shortest when the conservative phase began.
    private var baseline = UInt32.max
    /// What will be acknowledged when this round is over; nil before the first.
    private var roundEnd: TCPSequenceNumber?
    private var samples: UInt8 = 0
    /// How many rounds of the conservative phase are left; 0 outside of it.
    private var conservativeRounds: UInt8 = 0

    /// N_RTT_SAMPLE, CSS_GROWTH_DIVISOR, CSS_ROUNDS of section 4.3.
    private static let minimumSamples: UInt8 = 8
    private static let growthDivisor = 4
    private static let rounds: UInt8 = 5

    var isConservative: Bool { conservativeRounds > 0 }

    /// With round trips shorter than that, in microseconds, what grows is the time that machines take, and no queue.
    private static let leastRoundTrip: UInt32 = 1000

    /// By how much slow start opens the window. There is no bound L to it: what leaves in long segments is paced by them.
    func growth(acknowledged length: Int) -> Int { isConservative ? length / Self.growthDivisor : length }

    /// A round trip was measured. Returns whether slow start is over (section 4.2).
    mutating func measured(
        _ roundTrip: TimeAmount, acknowledged: TCPSequenceNumber, sendNext: TCPSequenceNumber
    ) -> Bool {
        if roundEnd.map({ acknowledged >= $0 }) ?? true {
            roundEnd = sendNext
            shortestOfLast = shortest
            shortest = .max
            samples = 0
            if conservativeRounds > 0 {
                conservativeRounds -= 1
                if conservativeRounds == 0 { return true }
            }
        }
        shortest = min(shortest, UInt32(clamping: roundTrip.nanoseconds / 1000))
        least = min(least, shortest)
        samples = samples == .max ? samples : samples + 1
        guard least >= Self.leastRoundTrip, samples >= Self.minimumSamples, shortestOfLast < .max else { return false }
        if isConservative {
            if shortest < baseline { conservativeRounds = 0 }
        } else {
            // MIN_RTT_THRESH 4 ms, MAX_RTT_THRESH 16 ms, MIN_RTT_DIVISOR 8.
            let threshold = min(max(shortestOfLast / 8, 4_000), 16_000)
            if shortest >= shortestOfLast, shortest - shortestOfLast >= threshold {
                baseline = shortest
                conservativeRounds = Self.rounds
            }
        }
        return false
    }
}
