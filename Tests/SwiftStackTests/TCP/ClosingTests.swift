// How a connection ends (RFC 9293 section 3.6).

import Testing

struct ClosingTests {
    /// RFC 9293 section 3.6, figure 12: case 1.
    @Test func anActiveCloseTakesFourSegments() {
        play(
            """
            established
            close
            > F. 1:1(0) ack 1
            expect state finWait1
            +0.1 < . 1:1(0) ack 2
            expect state finWait2
            < F. 1:1(0) ack 2
            > . 2:2(0) ack 2
            expect state timeWait
            +119 expect state timeWait
            +2 expect closed none
            expect nothing
            expect no timer
            """)
    }

    /// RFC 9293 section 3.6: case 2.
    @Test func aPassiveCloseTakesFourSegments() {
        play(
            """
            established
            < F. 1:1(0) ack 1
            +0~+0.04 > . 1:1(0) ack 2
            expect state closeWait
            expect event canRead
            expect finished
            close
            > F. 1:1(0) ack 2
            expect state lastAck
            +0.1 < . 2:2(0) ack 2
            expect closed none
            expect no timer
            """)
    }

    /// RFC 9293 section 3.6, figure 13: case 3.
    @Test func bothSidesMayCloseAtOnce() {
        play(
            """
            established
            close
            > F. 1:1(0) ack 1
            < F. 1:1(0) ack 1
            +0~+0.04 > . 2:2(0) ack 2
            expect state closing
            +0.1 < . 2:2(0) ack 2
            expect state timeWait
            +121 expect closed none
            """)
    }

    /// RFC 9293 section 3.10.7.4, eighth check, FIN-WAIT-1.
    @Test func aFINThatAcknowledgesOursLeadsToTimeWait() {
        play(
            """
            established
            close
            > F. 1:1(0) ack 1
            +0.1 < F. 1:1(0) ack 2
            > . 2:2(0) ack 2
            expect state timeWait
            """)
    }

    /// RFC 9293 section 3.10.4: the FIN comes after all that was written.
    @Test func theFINFollowsTheData() {
        play(
            """
            established
            write 12500
            close
            > data 1:10001
            expect state finWait1
            +0.1 < . ack 10001
            > . 10001:11001(1000)
            > . 11001:12001(1000)
            > FP. 12001:12501(500)
            """)
    }

    /// RFC 9293 section 3.6 (MAY-1): the other direction stays open.
    @Test func afterAHalfCloseDataStillCome() {
        play(
            """
            established
            shutdown
            > F. 1:1(0) ack 1
            +0.1 < . ack 2
            < P. 1:1001(1000) ack 2
            +0~+0.04 > . 2:2(0) ack 1001
            read 1000
            +600 < P. 1001:2001(1000) ack 2
            +0~+0.04 > . 2:2(0) ack 2001
            read 1000
            < F. 2001:2001(0) ack 2
            > . 2:2(0) ack 2002
            expect state timeWait
            """)
    }

    @Test func inFINWAIT1DataStillCome() {
        play(
            """
            established
            shutdown
            > F. 1:1(0) ack 1
            < P. 1:1001(1000) ack 1
            +0~+0.04 > . 2:2(0) ack 1001
            read 1000
            """)
    }

    @Test func inCLOSEWAITDataStillGo() {
        play(
            """
            established
            < F. 1:1(0) ack 1
            +0~+0.04 > . ack 2
            write 5000
            > data 1:5001
            +0.1 < . ack 5001
            +60 write 1000
            > P. 5001:6001(1000) ack 2
            """)
    }

    @Test func aClosedDirectionTakesNothing() {
        play(
            """
            established
            shutdown
            > F. 1:1(0) ack 1
            write 100 takes 0
            expect room 0
            shutdown
            expect nothing for 0.1
            """)
    }

    @Test func closingTwiceIsClosingOnce() {
        play(
            """
            established
            close
            > F. 1:1(0) ack 1
            close
            shutdown
            expect nothing for 0.1
            +0.01 < . ack 2
            expect state finWait2
            """)
    }

    /// The user reads to the end, and then finds the end.
    @Test func whatCameBeforeTheFINCanBeRead() {
        play(
            """
            established
            < FP. 1:1001(1000) ack 1
            +0~+0.04 > . ack 1002
            expect finished
            expect readable 1000
            read 1000
            read all gives 0
            expect finished
            """)
    }

    // MARK: Data that nobody reads

    /// RFC 9293 section 3.6.1 (SHLD-3), RFC 2525 section 2.17.
    @Test func closingWithUnreadDataResets() {
        play(
            """
            established
            < P. 1:1001(1000) ack 1
            +0.1 skip
            close
            > R? 1:1(0)
            expect state closed
            expect nothing for 100
            """)
    }

    /// RFC 9293 section 3.6.1 (SHLD-3)
    @Test(arguments: [Situation.finWait1, .finWait2])
    func dataAfterACloseAreReset(_ situation: Situation) {
        play(
            """
            \(situation.script.replacing("shutdown", with: "close"))
            < P. 1:1001(1000) ack \(situation == .finWait1 ? 1 : 2)
            > R? 2:2(0)
            expect state closed
            expect nothing for 100
            """)
    }

    @Test func closingAfterAHalfCloseResetsOnlyForData() {
        play(
            """
            established
            shutdown
            > F. 1:1(0) ack 1
            +0.1 < . ack 2
            close
            expect nothing
            < F. 1:1(0) ack 2
            > . 2:2(0) ack 2
            expect state timeWait
            """)
    }

    /// RFC 9293 section 3.6.1: a FIN loses no data, so it is no reason for a reset.
    @Test func aFINAfterACloseIsNoData() {
        play(
            """
            established
            close
            > F. 1:1(0) ack 1
            +0.1 < F. 1:1(0) ack 2
            > . 2:2(0) ack 2
            expect state timeWait
            """)
    }

    // MARK: TIME-WAIT

    /// RFC 9293 section 3.10.7.4, eighth check (MUST-13).
    @Test func aFINThatComesAgainRestartsTimeWait() {
        play(
            """
            time wait 10s
            \(Situation.timeWait.script)
            +8 < F. 1:1(0) ack 2
            > . 2:2(0) ack 2
            +8 expect state timeWait
            +3 expect closed none
            """)
    }

    @Test func timeWaitLastsAsConfigured() {
        play(
            """
            time wait 10s
            \(Situation.timeWait.script)
            +9 expect state timeWait
            +2 expect closed none
            """)
    }

    /// RFC 9293 section 3.10.7.4, eighth check, LAST-ACK: the FIN goes again until it is acknowledged.
    @Test func inLASTACKTheFINIsSentAgain() {
        play(
            """
            \(Situation.lastAck.script)
            +0.2~+0.5 > F. 1:1(0) ack 2
            +0.1 < . 2:2(0) ack 2
            expect closed none
            """)
    }

    @Test func aFINWithoutAnAnswerTimesOut() {
        play(
            """
            \(Situation.lastAck.script)
            * skip
            expect closed timedOut
            expect no timer
            """)
    }

    /// RFC 9293 section 3.10.7.4, fifth check: what acknowledges the data, but not the FIN.
    @Test func anACKOfTheDataIsNoACKOfTheFIN() {
        play(
            """
            established
            link full
            write 500
            shutdown
            link open
            > FP. 1:501(500)
            +0.1 < . ack 501
            expect state finWait1
            +0.2~+0.5 > F. 501:501(0)
            +0.1 < . ack 502
            expect state finWait2
            """)
    }

    /// A whole connection, and nothing left.
    @Test func afterAllThatNothingIsLeft() {
        play(
            """
            established timestamps
            write 25000
            close
            > data 1:10001
            +0.1 < . ack 10001
            skip
            +0.1 < . ack 20001
            skip
            +0.1 < . ack 25002
            < F. 1:1(0) ack 25002
            skip
            +121 expect closed none
            expect nothing
            expect no timer
            expect readable 0
            """)
    }
}
