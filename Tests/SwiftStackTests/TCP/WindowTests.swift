// The peer's window: kept to, shrunk, closed, probed (RFC 9293 section 3.8.6).

import Testing

struct WindowTests {
    /// RFC 9293 section 3.8.6
    @Test func theWindowBoundsWhatIsInFlight() {
        play(
            """
            established no scale win 3000
            write 5000
            > data 1:3001
            expect nothing for 0.1
            < . ack 1001 win 3000
            > . 3001:4001(1000)
            < . ack 3001 win 3000
            > P. 4001:5001(1000)
            """)
    }

    /// RFC 7323 section 2.2: never in a segment with SYN.
    @Test func theWindowOfASYNIsNotScaled() {
        play(
            """
            connect
            > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 2000 <mss 1000,wscale 7>
            > . 1:1(0) ack 1
            write 5000
            > data 1:2001
            expect nothing
            < . ack 1 win 40
            > data 2001:5001
            """)
    }

    /// RFC 7323 section 2.3: above 14 it is 14.
    @Test func aScaleThatIsTooLargeIsTheLargest() {
        play(
            """
            connect
            > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000,wscale 15>
            > . 1:1(0) ack 1
            write 10000
            > data 1:10001
            \((1...10).map { "< . ack \($0 * 1000 + 1) win 1" }.joined(separator: "\n"))
            write 30000
            > data 10001:26001
            """ + "\nexpect flight 16000..16384\nskip")
    }

    /// RFC 7323 section 2.2: where one side does not offer it, neither scales.
    @Test func withoutAnOfferOfThePeerNothingIsScaled() {
        play(
            """
            established no scale win 1000
            write 3000
            > . 1:1001(1000) ack 1 win 65535
            expect nothing for 0.1
            """)
    }

    /// RFC 9293 section 3.10.7.4, fifth check: SND.WL1 and SND.WL2.
    @Test func anOldSegmentDoesNotChangeTheWindow() {
        play(
            """
            established no scale win 2000
            < P. 1:101(100) ack 1 win 1000
            +0~+0.04 > . ack 101
            < . 1:1(0) ack 1 win 60000
            skip
            write 3000
            > . 1:1001(1000)
            expect nothing for 0.1
            """)
    }

    /// MUST-34, SHLD-15, SHLD-16, SHLD-17: nothing new is sent, what was sent is sent again.
    @Test func aWindowThatShrinksIsBorne() {
        play(
            """
            established no sack no scale win 4000
            write 6000
            > data 1:4001
            +0.1 < . ack 1001 win 500
            expect nothing for 0.1
            +0~+0.2 > . 1001:2001(1000)
            +0.1 < . ack 4001 win 0
            expect nothing for 0.1
            < . ack 4001 win 4000
            > data 4001:6001
            """)
    }

    /// MUST-38, RFC 9293 section 3.8.6.2.1: a little window is not worth a little segment.
    @Test func aSmallWindowIsNotFilledWithSmallSegments() {
        play(
            """
            established no scale win 3000
            write 6000
            > data 1:3001
            +0.1 < . ack 3001 win 1400
            > . 3001:4001(1000)
            expect nothing for 0.09
            < . ack 3001 win 3000
            > data 4001:6001
            """)
    }

    /// RFC 9293 section 3.8.6.2.1, rule 3: half of the largest window there was is enough.
    @Test func aPeerWithAVerySmallBufferIsServed() {
        play(
            """
            established no scale win 500
            write 1200
            > . 1:501(500)
            +0.1 < . ack 501 win 500
            > . 501:1001(500)
            +0.1 < . ack 1001 win 500
            > P. 1001:1201(200)
            """)
    }

    /// RFC 9293 section 3.8.6.2.1, rule 4: not for ever either.
    @Test func theOverrideTimerEndsTheWait() {
        play(
            """
            established no scale win 3000
            write 6000
            > data 1:3001
            +0.1 < . ack 3001 win 700
            +0.1~+1.0 > . 3001:3701(700)
            """)
    }
}

// MARK: - Zero windows

extension WindowTests {
    /// What is acknowledged, with the window closed and data waiting.
    private static let closed = """
        established no scale win 1000
        write 3000
        > data 1:1001
        +0.1 < . ack 1001 win 0
        """

    /// MUST-36, SHLD-29: the first probe after a retransmission time-out.
    @Test func aClosedWindowIsProbed() {
        play(
            """
            \(Self.closed)
            +0.2~+0.4 > .
            """)
    }

    /// SHLD-30: less and less often.
    @Test func probesGetRarer() {
        play(
            """
            \(Self.closed)
            +0.2~+0.4 > .
            +0.4~+0.8 > .
            +0.8~+1.6 > .
            +1.6~+3.2 > .
            +3.2~+6.4 > .
            """)
    }

    /// MUST-37: for as long as there are answers.
    @Test func probingNeverEndsWhileThePeerAnswers() {
        play(
            """
            \(Self.closed)
            \(Array(repeating: "* > .\n+0.05 < . ack 1001 win 0", count: 60).joined(separator: "\n"))
            expect state established
            < . ack 1001 win 3000
            > data 1001:3001
            """)
    }

    @Test func probesAreAtMostAMinuteApart() {
        play(
            """
            \(Self.closed)
            \(Array(repeating: "* > .\n< . ack 1001 win 0", count: 15).joined(separator: "\n"))
            +1~+60 > .
            """)
    }

    @Test func probesWithoutAnAnswerEndTheConnection() {
        play(
            """
            \(Self.closed)
            * skip
            expect closed timedOut
            expect no timer
            """)
    }

    @Test func aWindowUpdateLetsTheDataGo() {
        play(
            """
            \(Self.closed)
            +0.05 < . ack 1001 win 2000
            > . 1001:2001(1000)
            > P. 2001:3001(1000)
            """)
    }

    /// The byte of a probe may have been taken or not: both is well.
    @Test func theAnswerToAProbeMayTakeItsByte() {
        play(
            """
            \(Self.closed)
            * > .
            +0.05 < . ack 1001 win 2000
            > . 1001:2001(1000)
            > P. 2001:3001(1000)
            +0.05 < . ack 3001 win 2000
            expect no timer
            """)
    }

    @Test func nothingIsProbedWithoutData() {
        play(
            """
            established no scale win 1000
            < . ack 1 win 0
            expect nothing for 1000
            write 100
            expect nothing
            +0.2~+0.4 > .
            """)
    }

    @Test func aFINWaitsForTheWindow() {
        play(
            """
            \(Self.closed)
            shutdown
            expect nothing
            < . ack 1001 win 2001
            > . 1001:2001(1000)
            > FP. 2001:3001(1000)
            """)
    }

    /// MUST-66: a reset is seen with the window closed, and so is an ACK.
    @Test func aClosedWindowLetsResetsAndACKsIn() {
        play(
            """
            window 1000
            established no scale
            write 500
            > P. 1:501(500)
            < P. 1:1001(1000) ack 1
            skip
            +0.04 skip
            < . 1001:1001(0) ack 501
            expect not in flight 1
            < R 1001:1001(0)
            expect closed reset
            """)
    }

    /// MUST-1: 65535 is no negative number.
    @Test func theLargestWindowIsNoNegativeNumber() {
        play(
            """
            established no scale win 65535
            bulk 0.75 rtt 0.1
            expect flight 60000..65535
            """)
    }

    /// MUST-35, RFC 9293 section 3.8.6.1, of the other side: the window is said when asked for.
    @Test func aProbeOfThePeerIsAnswered() {
        play(
            """
            window 1000
            established no scale
            < P. 1:1001(1000) ack 1
            +0~+0.04 > . ack 1001 win 0
            +1 < . 1001:1002(1) ack 1
            > . 1:1(0) ack 1001 win 0
            +1 < . 1000:1000(0) ack 1
            > . 1:1(0) ack 1001 win 0
            """)
    }
}
