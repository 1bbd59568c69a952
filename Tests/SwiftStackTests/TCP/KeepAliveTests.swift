// Keep-alive (RFC 9293 section 3.8.4).

import Testing

struct KeepAliveTests {
    private static let established = "keepalive 10s 1s 3\nestablished"

    /// MUST-25: off, unless asked for.
    @Test func silenceIsNoReasonToAsk() {
        play("established\nexpect nothing for 1000000\nexpect no timer\nexpect state established")
    }

    /// MUST-25: asked for in the midst of it, and no longer.
    @Test func itMayBeAskedForLater() {
        play(
            """
            keepalive 10s 1s 3
            established
            keepalives off
            expect nothing for 100
            keepalives on
            +10 > . 0:0(0) ack 1
            keepalives off
            expect nothing for 100
            expect no timer
            """)
    }

    /// MUST-28: two hours, where nothing else is said.
    @Test func theDefaultIsTwoHours() {
        play("keepalive 2h 75s 9\nestablished\nexpect nothing for 7199\n+0.5~+2 > . ack 1")
    }

    /// SHLD-12: a segment without data, at SND.NXT - 1, so that it is answered.
    @Test func afterSilenceThePeerIsAsked() {
        play("\(Self.established)\n+10 > . 0:0(0) ack 1")
    }

    /// MUST-26: whatever arrives is a sign of life.
    @Test func anAnswerBeginsTheSilenceAnew() {
        play(
            """
            \(Self.established)
            +10 > . 0:0(0) ack 1
            +0.1 < . ack 1
            +10 > . 0:0(0) ack 1
            +0.1 < . ack 1
            expect nothing for 9.9
            """)
    }

    /// MUST-27 (it is configured), MUST-29: a probe without an answer is not the end yet.
    @Test func severalProbesWithoutAnAnswerAreTheEnd() {
        play(
            """
            \(Self.established)
            +10 > . 0:0(0) ack 1
            +1 > . 0:0(0) ack 1
            +1 > . 0:0(0) ack 1
            expect state established
            +1.1 skip
            expect closed timedOut
            expect no timer
            """)
    }

    @Test func anAnswerToTheLastProbeIsInTime() {
        play(
            """
            \(Self.established)
            +10 > . 0:0(0) ack 1
            +1 > . 0:0(0) ack 1
            +1 > . 0:0(0) ack 1
            +0.9 < . ack 1
            expect nothing for 9.9
            expect state established
            """)
    }

    /// MUST-26: only where nothing was sent or received for the time.
    @Test func dataPutTheProbeOff() {
        play(
            """
            \(Self.established)
            +6 < P. 1:101(100) ack 1
            +0~+0.04 > . ack 101
            expect nothing for 9.9
            +0~+0.2 > . 0:0(0) ack 101
            """)
    }

    @Test func theProbeOfAConnectionThatHasSentLiesBeforeWhatIsNext() {
        play(
            """
            \(Self.established)
            write 1000
            > . 1:1001(1000)
            +0.1 < . ack 1001
            +10 > . 1000:1000(0) ack 1
            """)
    }

    /// MUST-26: data in flight have a timer of their own.
    @Test func whileDataAreInFlightNobodyAsks() {
        play(
            """
            keepalive 500ms 500ms 2
            established no sack
            write 500
            > . 1:501(500)
            +0.3 > . 1:501(500)
            +0.6 > . 1:501(500)
            +1.2 > . 1:501(500)
            expect state established
            """)
    }

    @Test func aHalfClosedConnectionIsKeptAliveToo() {
        play(
            """
            \(Self.established)
            < F. 1:1(0) ack 1
            +0~+0.04 > . ack 2
            +9.9~+10.1 > . 0:0(0) ack 2
            """)
    }

    @Test func aPeerThatHasForgottenResets() {
        play(
            """
            \(Self.established)
            +10 > . 0:0(0) ack 1
            +0.1 < R 1:1(0)
            expect closed reset
            """)
    }

    /// The other side of it: probes are answered (RFC 9293 section 3.10.7.4, first check), with a byte of garbage or without.
    @Test(arguments: ["< . 0:0(0) ack 1", "< . 0:1(1) ack 1 other"])
    func aProbeIsAnswered(_ probe: String) {
        play("established\n+100 \(probe)\n> . 1:1(0) ack 1\nexpect readable 0")
    }
}
