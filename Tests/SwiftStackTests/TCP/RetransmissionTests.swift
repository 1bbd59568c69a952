// The retransmission timer (RFC 6298), for a peer without SACK, where nothing else finds out about losses of the tail.

import Testing

struct RetransmissionTests {
    /// Data of one segment, and their time-out: SRTT is 100 ms, RTTVAR 50 ms, RTO 300 ms (RFC 6298 section 2.2).
    private static let lost = """
        established no sack
        write 500
        > P. 1:501(500) ack 1
        +0.3 > P. 1:501(500) ack 1
        """

    /// RFC 6298 sections 2.2 and 5.1
    @Test func whatIsNotAcknowledgedIsSentAgain() {
        play(Self.lost)
    }

    /// RFC 6298 section 5.5, RFC 9293 section 3.8.1 (MUST-18)
    @Test func theTimeoutDoubles() {
        play(
            """
            \(Self.lost)
            +0.6 > . 1:501(500)
            +1.2 > . 1:501(500)
            +2.4 > . 1:501(500)
            +4.8 > . 1:501(500)
            """)
    }

    /// RFC 6298 section 2.5
    @Test func theTimeoutHasAMaximum() {
        play(
            """
            rto max 1s
            \(Self.lost)
            +0.6 > . 1:501(500)
            +1.0 > . 1:501(500)
            +1.0 > . 1:501(500)
            """)
    }

    /// RFC 6298 section 2.4 rounds RTO up to a floor; here 4 · RTTVAR is, as configured, and RTO is never less than that.
    @Test(arguments: [("200ms", "0.21"), ("1s", "1.01"), ("50ms", "0.06")])
    func theTimeoutHasAMinimum(_ minimum: String, _ seconds: String) {
        play(
            """
            rto \(minimum)
            connect
            > S 0:0(0)
            +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            write 1000
            > P. 1:1001(1000) ack 1
            +\(seconds) > P. 1:1001(1000) ack 1
            """)
    }

    /// … so that a path whose round trip is longer than the floor, and steady, has it too.
    @Test func aSteadyLongPathIsWaitedForLonger() {
        let samples = (0..<8).map { number in
            """
            write 1000
            > . len 1000
            +0.5 < . ack \(1 + 1000 * (number + 1))
            """
        }
        play(
            """
            connect
            > S 0:0(0)
            +0.5 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            \(samples.joined(separator: "\n"))
            write 1000
            > . 8001:9001(1000)
            +0.7 > . 8001:9001(1000)
            """)
    }

    /// RFC 6298 section 2.3: RTTVAR becomes 37.5 ms, so RTO is 250 ms.
    @Test func aSecondMeasurementIsSmoothed() {
        play(
            """
            rto 50ms
            established no sack
            write 1000
            > . 1:1001(1000)
            +0.1 < . ack 1001
            write 1000
            > . 1001:2001(1000)
            +0.25 > . 1001:2001(1000)
            """)
    }

    /// RFC 6298 section 2.3: R' is 200 ms: RTTVAR = 0.75 · 50 + 0.25 · 100 = 62.5, SRTT = 0.875 · 100 + 0.125 · 200 = 112.5.
    @Test func aLongerRoundTripMakesTheTimeoutLonger() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            +0.2 < . ack 1001
            write 1000
            > . 1001:2001(1000)
            +0.3625 > . 1001:2001(1000)
            """)
    }

    /// RFC 6298 section 5.3
    @Test func newAcknowledgmentsRestartTheTimer() {
        play(
            """
            established no sack
            write 3000
            > data 1:3001
            +0.1 < . ack 1001
            +0.25~+0.3 > . 1001:2001(1000)
            """)
    }

    /// RFC 6298 section 5.3: … and only new ones.
    @Test func duplicatesDoNotRestartTheTimer() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            +0.1 < . ack 1
            +0.1 < . ack 1
            +0.1 > . 1:1001(1000)
            """)
    }

    /// RFC 6298 section 5.1: a segment more does not put the timer off.
    @Test func moreDataDoNotRestartTheTimer() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            +0.2 write 1000
            > . 1001:2001(1000)
            +0.1 > . 1:1001(1000)
            """)
    }

    /// RFC 6298 section 5.2
    @Test func theTimerIsOffOnceAllIsAcknowledged() {
        play(
            """
            established no sack
            write 3000
            > data 1:3001
            expect in flight 1
            +0.1 < . ack 3001
            expect no timer
            """)
    }

    /// Karn's algorithm, RFC 6298 section 3 and the note of section 5: the ACK of what was sent twice measures nothing, and the
    /// RTO stays as it was backed off to.
    @Test func anAmbiguousAcknowledgmentMeasuresNothing() {
        play(
            """
            \(Self.lost)
            +0.01 < . ack 501
            write 500
            > . 501:1001(500)
            +0.6 > . 501:1001(500)
            """)
    }

    /// RFC 6298 section 5: a fresh measurement ends the backing off.
    @Test func aCleanMeasurementEndsTheBackoff() {
        play(
            """
            rto 50ms
            \(Self.lost)
            +0.1 < . ack 501
            write 500
            > . 501:1001(500)
            +0.1 < . ack 1001
            write 500
            > . 1001:1501(500)
            +0.25 > . 1001:1501(500)
            """)
    }

    /// RFC 5681 section 3.1 (4), RFC 6298 section 5.4: one segment, the earliest.
    @Test func aTimeoutSendsTheFirstSegmentOnly() {
        play(
            """
            established no sack
            write 5000
            > data 1:5001
            +0.3 > . 1:1001(1000)
            expect nothing for 0.5
            +0.1 > . 1:1001(1000)
            """)
    }

    /// RFC 5681 section 3.1: slow start from there: all that was sent is taken for lost.
    @Test func theRestFollowsInSlowStart() {
        play(
            """
            established no sack
            write 5000
            > data 1:5001
            +0.3 > . 1:1001(1000)
            +0.1 < . ack 1001
            > . 1001:2001(1000)
            > . 2001:3001(1000)
            expect nothing for 0.1
            < . ack 3001
            > data 3001:5001
            +0.1 < . ack 5001
            expect no timer
            """)
    }

    @Test func whatArrivedBeforeTheTimeoutIsNotSentAgain() {
        play(
            """
            established no sack
            write 5000
            > data 1:5001
            +0.3 > . 1:1001(1000)
            +0.1 < . ack 4001
            > . 4001:5001(1000)
            expect nothing
            """)
    }

    /// RFC 9293 section 3.10.8: a FIN is sent again as data are.
    @Test func aFINIsSentAgain() {
        play(
            """
            established no sack
            shutdown
            > F. 1:1(0) ack 1
            +0.3 > F. 1:1(0) ack 1
            +0.6 > F. 1:1(0) ack 1
            +0.1 < . ack 2
            expect state finWait2
            """)
    }

    @Test func aFINBehindDataIsSentAgainWithThem() {
        play(
            """
            established no sack
            link full
            write 500
            shutdown
            link open
            > FP. 1:501(500) ack 1
            +0.3 > FP. 1:501(500) ack 1
            """)
    }

    /// What is sent again says what is known by now (RFC 9293 section 3.8.6.3).
    @Test func aRetransmissionCarriesTheLatestAcknowledgment() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000) ack 1
            +0.1 < P. 1:101(100) ack 1
            +0.04 > . ack 101
            +0.16 > . 1:1001(1000) ack 101
            """)
    }

    /// RFC 9293 section 3.8.3 (MUST-20, SHLD-11): R2 is at least 100 seconds.
    @Test func dataAreGivenUpInTheEnd() {
        play(
            """
            \(Self.lost)
            100 skip
            expect state established
            * skip
            expect closed timedOut
            expect no timer
            """)
    }

    @Test func aFullLinkDoesNotSpinTheTimer() {
        play(
            """
            established no sack
            write 500
            > . 1:501(500)
            link full
            expect nothing for 20
            link open
            * > . 1:501(500)
            """)
    }

    /// RFC 5682 section 2.1 (F-RTO): the ACK of the retransmission lets new data go instead of more retransmissions; that of what
    /// was never sent again proves that the time-out was premature.
    @Test func aSpuriousTimeoutIsFoundOutWithoutTimestamps() {
        play(
            """
            established no sack
            write 20000
            > data 1:10001
            +0.3 > . 1:1001(1000)
            +0.01 < . ack 1001
            > data 10001:12001
            +0.01 < . ack 2001
            skip
            < . ack 10001
            skip
            < . ack 12001
            skip
            < . ack 20001
            expect no timer
            """)
    }

    /// RFC 5682 section 2.1, step 2b: with nothing new to send, the next acknowledgment would prove nothing.
    @Test func aTimeoutWithNothingNewToSendIsRecoveredFromAsEver() {
        play(
            """
            established no sack
            write 10000
            > data 1:10001
            +0.3 > . 1:1001(1000)
            +0.01 < . ack 1001
            > data 1001:3001
            +0.01 < . ack 3001
            > data 3001:6001
            skip
            < . ack 10001
            expect no timer
            """)
    }

    /// RFC 5682 section 2.1, step 2a: a duplicate says that segments are missing indeed.
    @Test func aTimeoutForALossIsNoneTakenBack() {
        play(
            """
            established no sack
            write 20000
            > data 1:10001
            +0.3 > . 1:1001(1000)
            +0.01 < . ack 1001
            > data 10001:12001
            +0.1 < . ack 1001
            +0~+2 > . 1001:2001(1000)
            skip
            """)
    }

    /// … also where it comes with data of the peer's own, and says so by SACK.
    @Test func aTimeoutForALossIsNoneTakenBackByWhatComesWithData() {
        play(
            """
            established
            write 20000
            > data 1:10001
            * > . 10001:11001(1000)
            * > . 1:1001(1000)
            +0.01 < . ack 1001
            > data 11001:13001
            +0.1 < P. 1:101(100) ack 1001 <sack 11001:13001>
            > . 1001:2001(1000)
            skip
            """)
    }

    /// The network makes duplicates, too: of what was not sent again they say nothing.
    @Test func aDuplicateOfAnotherSegmentTakesNoReductionBack() {
        play(
            """
            established
            write 10000
            > data 1:10001
            +0.1 < . ack 1 <sack 1001:10001>
            > . 1:1001(1000)
            +0.1 < . ack 10001
            write 20000
            > data 10001:17001
            +0.05 < . ack 10001 <sack 5001:6001>
            expect nothing for 0.04
            """)
    }
}
