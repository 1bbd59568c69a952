// RACK and tail loss probes (RFC 8985): losses are found by time.

import Testing

struct LossDetectionTests {
    /// After reordering, a segment that was late is sent again though it has arrived.
    private static let unneeded = """
        established
        write 3000
        > data 1:3001
        +0.1 < . ack 1 <sack 1001:3001>
        +0.01 < . ack 3001
        write 3000
        > data 3001:6001
        +0.1 < . ack 3001 <sack 4001:6001>
        +0.02~+0.03 > . 3001:4001(1000)
        +0.005 < . ack 6001
        """

    private static let flight = "established\nwrite 10000\n> data 1:10001"

    // MARK: RACK

    /// RFC 8985 section 6.2, steps 4 and 5: a quarter of the least round trip (25 ms) after its time, a segment is lost.
    @Test func aSingleReportIsEnoughAfterTheReorderingWindow() {
        play(
            """
            established
            write 2000
            > data 1:2001
            +0.1 < . ack 1 <sack 1001:2001>
            expect nothing for 0.02
            +0~+0.01 > . 1:1001(1000)
            """)
    }

    /// RFC 8985 section 6.2, step 4: until reordering is seen, three segments beyond are enough at once.
    @Test func threeReportsEndTheWait() {
        play(
            """
            \(Self.flight)
            +0.1 < . ack 1 <sack 1001:3001>
            +0.01 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            """)
    }

    /// RFC 8985 section 3.3: what is only late is not sent again.
    @Test func aLittleReorderingSendsNothingAgain() {
        play(
            """
            established
            write 3000
            > data 1:3001
            +0.1 < . ack 1 <sack 1001:3001>
            +0.01 < . ack 3001
            expect nothing for 1
            expect no timer
            """)
    }

    /// RFC 8985 section 6.2, step 4: where there was reordering, it is time alone that counts.
    @Test func afterReorderingThreeReportsAreNotEnough() {
        play(
            """
            established
            write 3000
            > data 1:3001
            +0.1 < . ack 1 <sack 1001:3001>
            +0.01 < . ack 3001
            write 6000
            > data 3001:9001
            +0.1 < . ack 3001 <sack 4001:9001>
            expect nothing for 0.015
            +0~+0.02 > . 3001:4001(1000)
            """)
    }

    /// RFC 8985 section 6.2, step 4: a retransmission that was not needed (RFC 2883) makes the reordering window larger.
    @Test func anUnneededRetransmissionMakesRACKMorePatient() {
        play(
            """
            \(Self.unneeded)
            write 1000
            > . 6001:7001(1000)
            +0.08 < . ack 6001 <sack 3001:4001>
            +0.02 < . ack 7001
            write 3000
            > data 7001:10001
            +0.1 < . ack 7001 <sack 8001:10001>
            expect nothing for 0.045
            +0~+0.01 > . 7001:8001(1000)
            """)
    }

    /// … also where the report comes when nothing is in flight any more.
    @Test func aLateReportOfADuplicateMakesRACKMorePatientToo() {
        play(
            """
            \(Self.unneeded)
            +0.08 < . ack 6001 <sack 3001:4001>
            write 3000
            > data 6001:9001
            +0.1 < . ack 6001 <sack 7001:9001>
            expect nothing for 0.045
            +0~+0.01 > . 6001:7001(1000)
            """)
    }

    /// RFC 8985 section 6.2, step 4 (RACK.reo_wnd_persist): after sixteen recoveries without such a report, it is as before.
    @Test(arguments: [(15, 0.045), (16, 0.02)])
    func sixteenRecoveriesLaterRACKIsAsPatientAsBefore(_ recoveries: Int, _ patience: Double) {
        let losses = (0..<recoveries).map { index in
            let (start, end) = (2000 * index + 7001, 2000 * index + 9001)
            return """
                write 2000
                > data \(start):\(end)
                +0.1 < . ack \(start) <sack \(start + 1000):\(end)>
                +0.045~+0.055 > . \(start):\(start + 1000)(1000)
                +0.1 < . ack \(end)
                """
        }
        let start = 2000 * recoveries + 7001
        play(
            """
            \(Self.unneeded)
            write 1000
            > . 6001:7001(1000)
            +0.08 < . ack 6001 <sack 3001:4001>
            +0.02 < . ack 7001
            \(losses.joined(separator: "\n"))
            write 2000
            > data \(start):\(start + 2000)
            +0.1 < . ack \(start) <sack \(start + 1000):\(start + 2000)>
            expect nothing for \(patience)
            +0~+0.01 > . \(start):\(start + 1000)(1000)
            """)
    }

    /// RFC 8985 section 6.2, step 5: many losses at once.
    @Test func allThatIsOverdueIsSentAgain() {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 1 <sack 4001:5001>
            +0.02~+0.03 > . 1:1001(1000)
            +0.01 skip
            +0.09 < . ack 4001 <sack 4001:5001>
            < . ack 5001
            expect nothing for 1
            expect no timer
            """)
    }

    /// RFC 8985 section 3.2: a retransmission that got lost is found by what was sent after it.
    @Test func aLostRetransmissionIsFound() {
        play(
            """
            established
            write 20000
            > data 1:10001
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            skip
            < . ack 1 <sack 1001:10001>
            > . 10001:11001(1000)
            skip
            +0.1 < . ack 1 <sack 10001:11001 1001:10001>
            > . 1:1001(1000)
            skip
            """)
    }

    /// RFC 8985 section 6.2, step 2: an ACK that must be of the first transmission (sooner than the least round trip) measures nothing.
    @Test func anACKTooSoonAfterARetransmissionMeasuresNothing() {
        play(
            """
            \(Self.flight)
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            +0.001 < . ack 6001
            expect nothing for 0.02
            """)
    }

    /// RFC 8985 section 9.2: the time-out stays the last resort.
    @Test func withoutAnyReportTheTimerRuns() {
        play(
            """
            established
            write 1000
            > . 1:1001(1000)
            +0.3 > . 1:1001(1000)
            """)
    }

    /// RFC 6298 section 5.1, as everybody reads it: what is sent again has a time-out of its own, or every recovery on a path
    /// whose round trip is more than half of the RTO would end in one.
    @Test func theTimerBeginsAnewWithAFastRetransmission() {
        let rounds = (0..<12).map { "write 1000\nskip\n+0.15 < . ack \($0 * 1000 + 1001)" }
        play(
            """
            connect
            > S 0:0(0)
            +0.15 < S. 0:0(0) ack 1 win 65535 <mss 1000,sackOK>
            > . 1:1(0) ack 1
            \(rounds.joined(separator: "\n"))
            write 5000
            > data 12001:17001
            +0.15 < . ack 12001 <sack 13001:17001>
            > . 12001:13001(1000)
            expect nothing for 0.149
            < . ack 17001
            expect no timer
            """)
    }

    // MARK: Tail loss probes

    /// RFC 8985 section 7.2: after two round trips without an answer the last segment goes again.
    @Test func theTailIsProbed() {
        play(
            """
            established
            write 4000
            > data 1:4001
            +0.2 > P. 3001:4001(1000)
            """)
    }

    /// RFC 8985 section 7.3: once; then the retransmission timer, begun anew.
    @Test func aProbeIsFollowedByTheTimeout() {
        play(
            """
            established
            write 4000
            > data 1:4001
            +0.2 > . 3001:4001(1000)
            +0.3 > . 1:1001(1000)
            """)
    }

    /// RFC 8985 section 7.3: new data are the better probe.
    @Test func newDataProbeWhereThereAreAny() {
        play(
            """
            established
            write 12000
            > data 1:10001
            +0.2 > . 10001:11001(1000)
            """)
    }

    /// RFC 8985 section 7.3: … if the peer's window has room for them.
    @Test func aFullWindowIsProbedWithTheLastSegment() {
        play(
            """
            established no scale win 3000
            write 5000
            > data 1:3001
            +0.2 > . 2001:3001(1000)
            """)
    }

    /// RFC 8985 section 7.2: what is acknowledged puts the probe off.
    @Test func acknowledgmentsPutTheProbeOff() {
        play(
            """
            established
            write 4000
            > data 1:4001
            +0.1 < . ack 2001
            +0.2 > P. 3001:4001(1000)
            """)
    }

    /// RFC 8985 section 7.4.2 and figure of section 3.5: the probe's report finds the losses before it.
    @Test func theAnswerToAProbeFindsTheLosses() {
        play(
            """
            established
            write 4000
            > data 1:4001
            +0.2 > . 3001:4001(1000)
            +0.1 < . ack 1 <sack 3001:4001>
            > . 1:1001(1000)
            skip
            """)
    }

    /// RFC 8985 section 7.4: a probe that was not needed costs nothing.
    @Test func anUnneededProbeCostsNoWindow() {
        play(
            """
            \(Self.flight)
            +0.2 > P. 9001:10001(1000)
            +0.05 < . ack 10001
            +0.05 < . ack 10001 <sack 9001:10001>
            write 10000
            > data 10001:20001
            """)
    }

    /// RFC 8985 section 7.4.2: a probe that mended a loss tells of congestion.
    @Test func aProbeThatMendsALossCostsWindow() {
        play(
            """
            \(Self.flight)
            +0.2 > P. 9001:10001(1000)
            +0.1 < . ack 10001
            write 1000
            > . 10001:11001(1000)
            +0.1 < . ack 11001
            write 30000
            skip
            expect flight <=14900
            """)
    }

    /// RFC 8985 section 7.1: only for a peer with SACK.
    @Test func withoutSACKThereIsNoProbe() {
        play(
            """
            established no sack
            write 4000
            > data 1:4001
            expect nothing for 0.29
            +0~+0.02 > . 1:1001(1000)
            """)
    }

    /// RFC 8985 section 7.3: a FIN is a tail, too.
    @Test func aFINIsProbedToo() {
        play(
            """
            established
            write 2000
            shutdown
            > data 1:2001
            > F. 2001:2001(0)
            +0.2~+0.3 > *
            skip
            +0.05 < . ack 2002
            expect state finWait2
            """)
    }
}
