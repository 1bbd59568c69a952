// The window this side announces: bounded, never drawn back, reopened in steps worth the while (RFC 9293 section 3.8.6.2.2), and
// grown with the rate of the user.

import Testing

struct ReceiveWindowTests {
    @Test func unreadDataTakeFromTheWindow() {
        play(
            """
            window 10000
            established no scale
            < . 1:1461(1460) ack 1
            < . 1461:2921(1460) ack 1
            > . ack 2921 win 7080
            < . 2921:5841(2920) ack 1 count 2
            > . ack 5841 win 4160
            < . 5841:10001(4160) ack 1 count 3
            > . ack 10001 win 0
            """)
    }

    @Test func readingGivesTheWindowBack() {
        play(
            """
            window 10000
            established no scale
            < . 1:2921(2920) ack 1 count 2
            > . ack 2921 win 7080
            read 2920
            skip
            < . 2921:5841(2920) ack 1 count 2
            read 2920
            > . ack 5841
            skip
            +0.1 < . 5841:5842(1) ack 1
            +0.04 > . ack 5842 win >=9999
            """)
    }

    /// MUST-39, SHLD-14: a closed window opens at once when there is room.
    @Test func aClosedWindowOpensWithAnUpdate() {
        play(
            """
            window 10000
            established no scale
            < . 1:10001(10000) ack 1 count 7
            > . ack 10001 win 0
            read all gives 10000
            > . 1:1(0) ack 10001 win 10000
            expect nothing for 1
            """)
    }

    /// MUST-39: silly windows are not offered.
    @Test func aClosedWindowStaysClosedForALittleRoom() {
        play(
            """
            window 10000
            established no scale
            < . 1:10001(10000) ack 1 count 7
            > . ack 10001 win 0
            read 100
            expect nothing
            < . 10000:10000(0) ack 1
            > . ack 10001 win 0
            read 900
            expect nothing
            read 4000
            > . ack 10001 win 5000
            """)
    }

    /// The right edge does not move in small steps either.
    @Test func aSmallBufferOpensByHalf() {
        play(
            """
            window 2000
            established no scale
            < . 1:2001(2000) ack 1 count 2
            > . ack 2001 win 0
            read 900
            expect nothing
            read 100
            > . ack 2001 win 1000
            """)
    }

    /// RFC 7323 section 2.3: what is said is scaled; section 2.4: rounded up, if at all, so that the right edge stays.
    @Test func theWindowIsSaidInScale() {
        play(
            """
            window 262144
            established
            < . 1:2921(2920) ack 1 count 2
            > . ack 2921 win 2025..2026
            """)
    }

    @Test func theWindowOfASYNIsNotScaled() {
        play("window 262144\nscale 7\nconnect\n> S 0:0(0) win 65535 <wscale 7>")
        play("window 10000\nscale 7\nconnect\n> S 0:0(0) win 10000 <wscale 7>")
        play("window 262144\naccept\n< S 0:0(0) win 1000 <mss 1000,wscale 2>\n> S. 0:0(0) win 65535 <wscale 7>")
    }

    /// What the window can hold is taken, to the last byte.
    @Test func theWholeWindowCanBeUsed() {
        play(
            """
            window 20000
            established no scale
            < . 19001:20001(1000) ack 1
            > . ack 1 <sack 19001:20001>
            < . 1:19001(19000) ack 1 count 19
            > . ack 20001 win 0
            read all gives 20000
            > . ack 20001 win 20000
            """)
    }

    /// A round trip's worth of reading doubles it (dynamic right-sizing), up to the maximum.
    @Test func theWindowGrowsWithWhatIsRead() {
        let rounds = (0..<12).map { round in
            let start = round * 60_000 + 1
            return "+0.1 < P. \(start):\(start + 60_000)(60000) ack 1 count 41\nskip\nread all gives 60000\nskip"
        }
        play(
            """
            window 65536 max 1048576
            established timestamps
            \(rounds.joined(separator: "\n"))
            +0.1 < P. 720001:720101(100) ack 1
            * > . ack 720101 win >=900
            """)
    }

    @Test func theWindowDoesNotGrowBeyondItsMaximum() {
        let rounds = (0..<12).map { round in
            let start = round * 60_000 + 1
            return "+0.1 < P. \(start):\(start + 60_000)(60000) ack 1 count 41\nskip\nread all gives 60000\nskip"
        }
        play(
            """
            window 65536 max 98304
            established timestamps
            \(rounds.joined(separator: "\n"))
            +0.1 < P. 720001:720101(100) ack 1
            * > . ack 720101 win <=768
            """)
    }

    @Test func theWindowDoesNotGrowForOneThatDoesNotRead() {
        play(
            """
            window 65536 max 1048576
            established timestamps
            +0.1 < P. 1:30001(30000) ack 1 count 21
            > . ack 30001 win 273..278
            +0.1 < P. 30001:60001(30000) ack 1 count 21
            > . ack 60001 win 39..44
            +0.1 < P. 60001:65537(5536) ack 1 count 4
            > . ack 65537 win 0..1
            """)
    }
}
