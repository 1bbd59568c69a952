// How much is in flight: RFC 5681, RFC 6928, RFC 9438 (CUBIC), RFC 6937 (PRR), RFC 7661.

import Testing

struct CongestionControlTests {
    /// The peer acknowledges every segment of `range` by itself.
    private static func acknowledgments(_ range: ClosedRange<Int>) -> String {
        range.map { "< . ack \($0 * 1000 + 1)" }.joined(separator: "\n")
    }

    // MARK: Initial window and slow start

    /// RFC 6928 section 2: min (10 · MSS, max (2 · MSS, 14600)).
    @Test(arguments: [(1000, 10_000), (1460, 14_600), (536, 5360), (2920, 14_600), (9000, 18_000)])
    func theInitialWindow(_ size: Int, _ window: Int) {
        play("""
            mss \(size)
            established mss \(size)
            write 40000
            skip
            expect flight \(window - window % size)..\(window)
            expect nothing for 0.1
            """)
    }

    /// RFC 5681 section 3.1: a segment more for each that is acknowledged.
    @Test(arguments: ["cubic", "newreno"])
    func slowStartDoublesTheWindow(_ algorithm: String) {
        play("""
            \(algorithm)
            established
            write 50000
            > data 1:10001
            +0.1 < . ack 1001
            > data 10001:12001
            \(Self.acknowledgments(2...10))
            > data 12001:30001
            expect nothing
            """)
    }

    /// RFC 5681 section 3.1: acknowledgments of a few bytes each are not worth a segment each.
    @Test func dividedAcknowledgmentsDoNotSpeedUpSlowStart() {
        play("""
            established
            write 50000
            > data 1:10001
            +0.1 \((1...10).map { "< . ack \($0 * 100 + 1)" }.joined(separator: "\n"))
            skip
            expect flight <=11000
            """)
    }

    /// RFC 5681 section 3.2: only acknowledgments of new data.
    @Test func oldAcknowledgmentsDoNotOpenTheWindow() {
        play("""
            established no sack
            write 50000
            > data 1:10001
            +0.1 < . ack 1
            < . ack 0
            < . ack 0
            skip
            expect not in flight 11001
            """)
    }

    /// RFC 3465 section 2.2: what a retransmission or a stretch of ACKs lost at once acknowledges is no burst without bound.
    @Test func oneAcknowledgmentOfAllOpensNoMoreThanItAcknowledges() {
        play("""
            established
            write 60000
            > data 1:10001
            +0.1 < . ack 10001
            skip
            expect flight 10000..20000
            """)
    }

    @Test func slowStartFillsALongPathInAFewRoundTrips() {
        play("""
            established
            bulk 0.75 rtt 0.1
            expect flight >=100000
            """)
    }

    // MARK: Loss

    /// RFC 9438 section 4.6: CUBIC keeps 0.7; RFC 5681 equation 4: Reno half.
    @Test(arguments: [("cubic", "60..76"), ("newreno", "45..56")])
    func aLossReducesTheWindow(_ algorithm: String, _ share: String) {
        play("""
            \(algorithm)
            established
            bulk 0.55 rtt 0.1
            measure
            bulk 0.25 rtt 0.1 loses 1
            expect flight \(share) %
            """)
    }

    /// RFC 5681 section 3.1: after a time-out one segment, and at least two for ssthresh.
    @Test func aTimeoutLeavesOneSegment() {
        play("""
            established no sack
            write 30000
            > data 1:10001
            +0.3 > . 1:1001(1000)
            +0.1 < . ack 10001
            skip
            expect flight 1000..2000
            """)
    }

    /// RFC 5681 equation 4: slow start up to half of what was in flight, then a segment each round trip.
    @Test func afterATimeoutGrowthIsLinearFromHalf() {
        play("""
            newreno
            established no sack
            write 10000
            > data 1:10001
            +0.3 > . 1:1001(1000)
            +0.1 < . ack 10001
            bulk 1.05 rtt 0.1
            expect flight 9000..15000
            """)
    }

    @Test func aLossOfEverythingIsRecoveredFrom() {
        play("""
            established
            bulk 0.5 rtt 0.05
            bulk 5.0 rtt 0.05 loses 100
            expect flight >=20000
            """)
    }

    // MARK: Congestion avoidance

    /// RFC 5681 equation 3: about a segment each round trip.
    @Test func renoGrowsByASegmentEachRoundTrip() {
        play("""
            newreno
            established
            bulk 0.55 rtt 0.1
            bulk 0.5 rtt 0.1 loses 1
            measure
            bulk 5.0 rtt 0.1
            expect flight 105..185 %
            """)
    }

    /// RFC 9438 section 4.2: back at the old maximum after K = ∛(W · 0.3 / 0.4), which is a plateau.
    @Test func cubicComesBackToTheOldMaximum() {
        play("""
            send buffer 4000000
            established
            bulk 0.65 rtt 0.1
            measure
            bulk 0.3 rtt 0.1 loses 1
            expect flight 60..80 %
            bulk 6.0 rtt 0.1
            expect flight 90..125 %
            """)
    }

    /// RFC 9438 section 4.4: concave: most of the way in the first half of the time.
    @Test func cubicGrowsFastAtFirst() {
        play("""
            send buffer 4000000
            established
            bulk 0.65 rtt 0.1
            measure
            bulk 0.3 rtt 0.1 loses 1
            bulk 2.5 rtt 0.1
            expect flight 84..115 %
            """)
    }

    /// RFC 9438 section 4.3: on short paths it grows no slower than Reno, 0.53 of a segment per round trip for a factor of 0.7.
    @Test func cubicIsNoSlowerThanReno() {
        play("""
            send buffer 4000000
            established
            bulk 0.025 rtt 0.01
            measure
            bulk 0.03 rtt 0.01 loses 1
            bulk 1.0 rtt 0.01
            expect flight >=115 %
            """)
    }

    /// RFC 9438 section 4.7 (fast convergence): a second loss below the old maximum gives more away.
    @Test func twoLossesReduceTwice() {
        play("""
            send buffer 4000000
            established
            bulk 0.55 rtt 0.1
            measure
            bulk 0.3 rtt 0.1 loses 1
            bulk 0.3 rtt 0.1 loses 1
            expect flight 40..60 %
            """)
    }

    /// RFC 6675 section 5, RFC 5681 section 3.2: one reduction for all that one window loses.
    @Test func lossesOfOneWindowReduceOnce() {
        play("""
            newreno
            send buffer 4000000
            established
            bulk 0.55 rtt 0.1
            measure
            bulk 0.5 rtt 0.1 loses 5
            expect flight 42..60 %
            """)
    }

    // MARK: Proportional rate reduction

    /// RFC 6937 section 3: half of what is delivered is sent, while more is in flight than shall be.
    @Test func recoverySendsInProportion() {
        play("""
            newreno
            established
            write 30000
            > data 1:10001
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            expect nothing
            < . ack 1 <sack 1001:5001>
            > . 10001:11001(1000)
            < . ack 1 <sack 1001:6001>
            expect nothing
            """)
    }

    /// RFC 6937 section 3: at the end as much is in flight as shall be.
    @Test func recoveryEndsAtTheThreshold() {
        play("""
            newreno
            established
            write 40000
            > data 1:10001
            +0.1 \((4...10).map { "< . ack 1 <sack 1001:\($0 * 1000 + 1)>" }.joined(separator: "\n"))
            skip
            +0.1 < . ack 10001
            skip
            expect flight 4000..6000
            """)
    }

    /// RFC 6937 section 3 (slow start reduction bound): heavy losses are refilled, no faster than slow start would.
    @Test func heavyLossesAreRefilledGently() {
        play("""
            newreno
            established
            write 40000
            > data 1:10001
            +0.1 < . ack 1 <sack 9001:10001>
            skip
            +0.03 < . ack 1 <sack 7001:10001>
            skip
            expect not in flight 14001
            """)
    }

    // MARK: Validation

    /// RFC 7661 section 4.1, RFC 9438 section 5.8: a window that is not used does not grow.
    @Test func anUnusedWindowDoesNotGrow() {
        let rounds = (0..<10).map { "write 1000\nskip\n+0.1 < . ack \($0 * 1000 + 1001)" }
        play("""
            established
            \(rounds.joined(separator: "\n"))
            write 50000
            skip
            expect flight 10000..12000
            """)
    }

    /// RFC 5681 section 4.1, RFC 7661 section 4.4: what was learned long ago is not counted upon.
    @Test func anIdleConnectionBeginsAnew() {
        play("""
            established
            write 10000
            > data 1:10001
            +0.1 \(Self.acknowledgments(1...10))
            write 20000
            > data 10001:30001
            +0.1 \(Self.acknowledgments(11...30))
            +1200 write 60000
            skip
            expect flight 10000..20000
            """)
    }
}
