// The user time-out (RFC 9293 section 3.8.3, RFC 5482).

import Testing

struct UserTimeoutTests {
    @Test func dataWithoutAnAnswerEndTheConnection() {
        play(
            """
            user timeout 5s
            established no sack
            write 1000
            +4.9 skip
            expect state established
            +0.2 skip
            expect closed timedOut
            expect no timer
            """)
    }

    @Test func progressBeginsTheTimeAnew() {
        play(
            """
            user timeout 5s
            established no sack
            write 3000
            +4 skip
            < . ack 1001
            +4 skip
            expect state established
            < . ack 2001
            +4 skip
            expect state established
            """)
    }

    @Test func silenceWithNothingToSayIsNoFailure() {
        play("user timeout 5s\nestablished\nexpect nothing for 1000\nexpect state established")
    }

    @Test func acknowledgedDataEndTheWait() {
        play(
            """
            user timeout 5s
            established
            write 1000
            > . 1:1001(1000)
            +0.1 < . ack 1001
            expect nothing for 100
            expect state established
            """)
    }

    @Test func anAnswerWithoutProgressIsNoProgress() {
        play(
            """
            user timeout 2s
            established no sack
            write 1000
            +0.5 skip
            < . ack 1
            +0.5 skip
            < . ack 1
            +0.5 skip
            < . ack 1
            +0.6 skip
            expect closed timedOut
            """)
    }

    @Test func aFINCountsAsData() {
        play(
            """
            user timeout 5s
            established no sack
            close
            +5.1 skip
            expect closed timedOut
            """)
    }

    @Test func aLongTimeLetsRetransmissionsGoOn() {
        play(
            """
            user timeout 2h
            established no sack
            write 1000
            +7100 skip
            expect state established
            +101 skip
            expect closed timedOut
            """)
    }
}
