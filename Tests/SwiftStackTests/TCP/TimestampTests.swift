// Timestamps: round trips, and protection against wrapped sequence numbers (RFC 7323 sections 3 to 5).

import Testing

struct TimestampTests {
    /// RFC 7323 section 3.2: in every segment once agreed upon; what is echoed is the peer's latest.
    @Test func everySegmentHasThem() {
        play(
            """
            established timestamps
            write 1000
            > P. 1:1001(1000) ack 1 <TS ecr 1100>
            +0.1 < . ack 1001
            shutdown
            > F. 1001:1001(0) ack 1 <TS>
            """)
    }

    @Test func theyTakeRoomFromTheData() {
        play(
            """
            established timestamps mss 1000
            write 988
            > P. 1:989(988) ack 1
            write 989
            > . 989:1977(988) ack 1
            > P. 1977:1978(1) ack 1
            """)
    }

    /// RFC 7323 section 4.3: a delayed ACK echoes the earliest segment it acknowledges.
    @Test func aDelayedACKEchoesTheFirstSegment() {
        play(
            """
            established timestamps
            < . 1:1449(1448) ack 1 <TS val 2000 ecr $syn>
            < . 1449:2897(1448) ack 1 <TS val 2010 ecr $syn>
            > . ack 2897 <TS ecr 2000>
            < . 2897:2997(100) ack 1 <TS val 2020 ecr $syn>
            +0.04 > . ack 2997 <TS ecr 2020>
            """)
    }

    /// RFC 7323 section 4.3, rule B: a segment out of order does not count, nor one that lies beyond a gap.
    @Test func aSegmentOutOfOrderIsNotEchoed() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . ack 101 <TS ecr 2000>
            < . 1101:2101(1000) ack 1 <TS val 2100 ecr $syn>
            > . ack 101 <TS ecr 2000>
            < . 101:1101(1000) ack 1 <TS val 2200 ecr $syn>
            > . ack 2101 <TS ecr 2200>
            """)
    }

    /// RFC 7323 section 4.3, rule 2: beyond the window nothing is echoed.
    @Test func aSegmentBeyondTheWindowIsNotEchoed() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . ack 101 <TS ecr 2000>
            < . 90000001:90000001(0) ack 1 <TS val 90000 ecr $syn>
            > . ack 101 <TS ecr 2000>
            """)
    }

    // MARK: PAWS

    /// RFC 7323 section 5.3, R1
    @Test func anOldTimestampMeansAnOldSegment() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . ack 101
            < . 101:201(100) ack 1 <TS val 1999 ecr $syn>
            > . 1:1(0) ack 101 <TS ecr 2000>
            expect readable 100
            < . 101:201(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . 1:1(0) ack 201
            """)
    }

    /// RFC 7323 section 5.3, R1: the ACK of such a segment is not looked at either.
    @Test func theACKOfAnOldSegmentIsNotTaken() {
        play(
            """
            established timestamps
            write 1000
            > . 1:1001(1000)
            +0.1 < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            < . 101:101(0) ack 1001 <TS val 1000 ecr $syn>
            skip
            expect in flight 1
            """)
    }

    /// RFC 7323 section 5.2: a reset needs no timestamp, nor a new one.
    @Test(arguments: ["<TS val 1 ecr zero>", "<!TS>"])
    func resetsAreNotProtected(_ options: String) {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . ack 101
            < R 101:101(0) \(options)
            expect closed reset
            """)
    }

    /// RFC 7323 section 3.2: what has none is dropped (SHOULD).
    @Test func aSegmentWithoutTimestampsIsDropped() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <!TS>
            expect nothing for 0.03
            expect readable 0
            """)
    }

    /// RFC 7323 section 5.5: after 24 days the peer's clock may have gone round.
    @Test func after24DaysTheClockMayHaveGoneRound() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1
            +0.04 > . ack 101
            +2160000 < . 101:201(100) ack 1
            +0.04 > . ack 201
            expect readable 200
            """)
    }

    @Test func after23DaysItHasNot() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            +0.04 > . ack 101
            +1987200 < . 101:201(100) ack 1 <TS val 1999 ecr $syn>
            > . ack 101
            expect readable 100
            """)
    }

    /// RFC 7323 section 3.2: without agreement they mean nothing.
    @Test func withoutAgreementTheyMeanNothing() {
        play(
            """
            established
            < . 1:101(100) ack 1 <TS val 2000 ecr zero>
            < . 101:201(100) ack 1 <TS val 1 ecr zero>
            +0~+0.04 > . ack 201 <!TS>
            expect readable 200
            """)
    }

    // MARK: Round trips

    /// RFC 7323 section 4: what was sent again can be measured, too: SRTT 100, RTTVAR 37.5, RTO 250 ms.
    @Test func aRetransmissionIsMeasured() {
        play(
            """
            rto 50ms
            established timestamps no sack
            write 1000
            > P. 1:1001(1000) <TS val $first>
            +0.3 > P. 1:1001(1000) <TS val $second>
            +0.1 < . ack 1001 <TS ecr $second>
            write 1000
            > P. 1001:2001(1000)
            +0.25 > P. 1001:2001(1000)
            """)
    }

    /// RFC 3522, RFC 4015 (Eifel): the answer is to the first transmission, so nothing was lost.
    @Test func aSpuriousTimeoutIsTakenBack() {
        play(
            """
            established timestamps no sack
            write 30000
            > . 1:1001(1000) <TS val $first>
            > data 1001:10001
            +0.3 > . 1:1001(1000) <TS val $second>
            +0.01 < . ack 10001 <TS ecr $first>
            skip
            expect flight >=8000
            """)
    }

    /// RFC 8985 section 6.2 step 3: that was no reordering, and the next loss is not waited for.
    @Test func aSpuriousTimeoutIsNoReordering() {
        play(
            """
            established timestamps
            write 10000
            > . 1:1001(1000) <TS val $first>
            skip
            +1 skip
            < . ack 10001 <TS ecr $first>
            skip
            write 10000
            skip
            +0.1 < . ack 10001 <sack 11001:14001>
            > . 10001:11001(1000)
            skip
            """)
    }

    /// RFC 7323 section 4.1: an echo of 0, or of the future, measures nothing that hurts.
    @Test(arguments: ["zero", "4000000000"])
    func anImpossibleEchoDoesNoHarm(_ echo: String) {
        play(
            """
            established timestamps no sack
            write 1000
            > P. 1:1001(1000)
            +0.1 < . ack 1001 <TS ecr \(echo)>
            write 1000
            > P. 1001:2001(1000)
            +0.2~+2 > P. 1001:2001(1000)
            """)
    }

    /// RFC 7323 section 5.4: it ticks every millisecond, which is the least it may, and goes on while nothing is sent.
    @Test func theClockTicksEveryMillisecond() {
        play(
            """
            established timestamps
            write 1
            > . 1:2(1) <TS val $first>
            +0.0004 < . ack 2
            write 1
            > . 2:3(1) <TS val $first>
            +0.0006 < . ack 3
            write 1
            > . 3:4(1) <TS val $first+1>
            +0.1 < . ack 4
            write 1
            > . 4:5(1) <TS val $first+101>
            +0.1 < . ack 5
            +86400 write 1
            > . 5:6(1) <TS val $first+86400201>
            """)
    }
}
