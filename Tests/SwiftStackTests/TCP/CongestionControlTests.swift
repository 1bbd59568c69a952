// How much is in flight: RFC 5681, RFC 6928, RFC 9438 (CUBIC), RFC 6937 (PRR).

import Testing

struct CongestionControlTests {
    /// The peer acknowledges every segment of `range` by itself.
    static func acknowledgments(_ range: ClosedRange<Int>) -> String {
        range.map { "< . ack \($0 * 1000 + 1)" }.joined(separator: "\n")
    }

    /// 300 segments in flight, and no more, as the send buffer has no room for them; the round trip takes 80 ms.
    private static let steady = "send buffer 300000\nestablished\nbulk 0.95 rtt 0.08\nexpect flight 300000\nmeasure"

    // MARK: Initial window and slow start

    /// RFC 6928 section 2: min (10 · MSS, max (2 · MSS, 14600)).
    @Test(arguments: [(1000, 10_000), (1460, 14_600), (536, 5360), (2920, 14_600), (9000, 18_000)])
    func theInitialWindow(_ size: Int, _ window: Int) {
        play(
            """
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
        play(
            """
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
        play(
            """
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
        play(
            """
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
        play(
            """
            established
            write 60000
            > data 1:10001
            +0.1 < . ack 10001
            skip
            expect flight 10000..20000
            """)
    }

    @Test func slowStartFillsALongPathInAFewRoundTrips() {
        play(
            """
            established
            bulk 0.75 rtt 0.1
            expect flight >=100000
            """)
    }

    /// RFC 9406 section 4.2: a round trip that grows says that the queue fills: slow start gets four times as slow.
    @Test func slowStartSlowsDownWhereRoundTripsGrow() {
        play(
            """
            send buffer 4000000
            established
            bulk 0.45 rtt 0.1
            measure
            bulk 0.35 rtt 0.2
            expect flight 200..300 %
            """)
    }

    /// RFC 9406 section 4.2: where round trips shrink again, the queue was another's, and slow start doubles on: a quarter,
    /// and then three times. Without the slow round it would be 16 times, without going on 2.5 times.
    @Test func slowStartGoesOnWhereRoundTripsShrinkAgain() {
        play(
            """
            send buffer 8000000
            established
            bulk 0.45 rtt 0.1
            bulk 0.15 rtt 0.15
            measure
            bulk 0.4 rtt 0.1
            expect flight 900..1100 %
            """)
    }

    // MARK: Loss

    /// RFC 9438 section 4.6: CUBIC keeps 0.7; RFC 5681 equation 4: Reno half.
    @Test(arguments: [("cubic", "65..78"), ("newreno", "47..57")])
    func aLossReducesTheWindow(_ algorithm: String, _ share: String) {
        play(
            """
            \(algorithm)
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            expect flight \(share) %
            """)
    }

    /// RFC 5681 section 3.1: after a time-out one segment, and at least two for ssthresh.
    @Test func aTimeoutLeavesOneSegment() {
        play(
            """
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
        play(
            """
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

    /// RFC 6937 section 3: with nothing new to send meanwhile, the window at the end is ssthresh nevertheless.
    @Test func recoveryWithoutNewDataEndsAtTheThreshold() {
        play(
            """
            newreno
            established
            write 10000
            > data 1:10001
            +0.1 \((2...10).map { "< . ack 1 <sack 1001:\($0 * 1000 + 1)>" }.joined(separator: "\n"))
            > . 1:1001(1000)
            +0.1 < . ack 10001
            write 20000
            skip
            expect flight 5000..6000
            """)
    }

    @Test func aLossOfEverythingIsRecoveredFrom() {
        play(
            """
            send buffer 100000
            established
            bulk 0.5 rtt 0.05
            expect flight 100000
            bulk 3.0 rtt 0.05 loses 100
            expect flight >=20000
            """)
    }

    // MARK: Congestion avoidance

    /// RFC 5681 equation 3: about a segment each round trip.
    @Test func renoGrowsByASegmentEachRoundTrip() {
        play(
            """
            newreno
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            measure
            bulk 5.0 rtt 0.08
            expect flight 125..155 %
            """)
    }

    /// RFC 9438 section 4.2: back at the old maximum after K = ∛(300 · 0.3 / 0.4) = 6.1 s.
    @Test func cubicComesBackToTheOldMaximum() {
        play(
            """
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            expect flight 65..78 %
            bulk 5.7 rtt 0.08
            expect flight 92..100 %
            """)
    }

    /// RFC 9438 section 4.4: concave: in half of the time it gets most of the way, to 94 %.
    @Test func cubicGrowsFastAtFirst() {
        play(
            """
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            bulk 2.5 rtt 0.08
            expect flight 88..98 %
            """)
    }

    /// RFC 9438 section 4.3: on short paths it grows no slower than Reno, 0.53 of a segment per round trip for a factor of 0.7.
    @Test func cubicIsNoSlowerThanReno() {
        play(
            """
            send buffer 60000
            established
            bulk 0.1 rtt 0.01
            measure
            bulk 0.05 rtt 0.01 loses 1
            bulk 1.0 rtt 0.01
            expect flight 95..100 %
            """)
    }

    /// RFC 9438 section 4.6: each by the same factor.
    @Test func twoLossesReduceTwice() {
        play(
            """
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            bulk 0.45 rtt 0.08 loses 1
            expect flight 44..60 %
            """)
    }

    /// RFC 9438 section 4.7: of a window that did not get back to the last maximum, the next curve aims at 0.85 only: at 62 %
    /// of the first, and not at 73 %.
    @Test func theNextCurveAimsLowerAfterTwoLosses() {
        play(
            """
            \(Self.steady)
            bulk 0.45 rtt 0.08 loses 1
            bulk 0.45 rtt 0.08 loses 1
            bulk 4.0 rtt 0.08
            expect flight 59..66 %
            """)
    }

    /// RFC 6675 section 5, RFC 5681 section 3.2: one reduction for all that one window loses.
    @Test func lossesOfOneWindowReduceOnce() {
        play(
            """
            newreno
            \(Self.steady)
            bulk 0.6 rtt 0.08 loses 5
            expect flight 47..57 %
            """)
    }

    // MARK: Proportional rate reduction

    /// RFC 6937 section 3: half of what is delivered is sent, while more is in flight than shall be.
    @Test func recoverySendsInProportion() {
        play(
            """
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
        play(
            """
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

    /// RFC 6937 section 3 (slow start reduction bound): heavy losses are refilled gently, and to ssthresh (half) at most.
    @Test func heavyLossesAreRefilledGently() {
        play(
            """
            newreno
            established
            write 40000
            > data 1:10001
            +0.1 < . ack 1 <sack 9001:10001>
            skip
            +0.02~+0.03 > . 1:1001(1000)
            expect sent <=4
            skip
            """)
    }
}
