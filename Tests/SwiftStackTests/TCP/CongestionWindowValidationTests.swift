// A congestion window that its user does not always make use of (RFC 7661).

import Testing

struct CongestionWindowValidationTests {
    /// 40,000 bytes may be in flight, half of which have been; the round trip takes 100 ms.
    private static let used = """
        established
        write 10000
        > data 1:10001
        +0.1 \(CongestionControlTests.acknowledgments(1...10))
        write 20000
        > data 10001:30001
        +0.1 \(CongestionControlTests.acknowledgments(11...30))
        """

    /// RFC 7661 section 4.1, RFC 9438 section 5.8: a window that is not used does not grow.
    @Test func anUnusedWindowDoesNotGrow() {
        let rounds = (0..<10).map { "write 1000\nskip\n+0.1 < . ack \($0 * 1000 + 1001)" }
        play(
            """
            established
            \(rounds.joined(separator: "\n"))
            write 50000
            skip
            expect flight 10000..12000
            """)
    }

    /// RFC 7661 section 4.4.2: what was known of the path is kept, but does not leave in one burst.
    @Test func aPauseKeepsTheWindowAndSpreadsIt() {
        play(
            """
            \(Self.used)
            +30 write 60000
            skip
            expect flight 10000
            +0.05 skip
            expect flight 20000..32000
            +0.045 skip
            expect flight 32000..41000
            """)
    }

    /// RFC 7661 section 4.3: as much as was acknowledged in a round trip of late may leave at once.
    @Test func whoUsesTheWindowIsNotHeldUp() {
        play(
            """
            \(Self.used)
            +0.5 write 60000
            skip
            expect flight 39000..41000
            """)
    }

    /// RFC 7661 section 4.4.3: a window that is not made use of for five minutes is halved, and so on.
    @Test func afterFiveMinutesHalfOfTheWindowIsForgotten() {
        play(
            """
            \(Self.used)
            +301 write 60000
            +0.095 skip
            expect flight 18000..21000
            """)
    }

    /// RFC 7661 section 4.3: that it was spread does not mean that the window was too small.
    @Test func aSpreadWindowDoesNotGrow() {
        play(
            """
            \(Self.used)
            +30 write 12000
            +0.05 skip
            +0.1 < . ack 42001
            +30 write 60000
            +0.095 skip
            expect flight 32000..41000
            """)
    }

    /// RFC 5681 section 4.1, RFC 7661 section 4.4: what was learned long ago is not counted upon.
    @Test func anIdleConnectionBeginsAnew() {
        play(
            """
            \(Self.used)
            +1200 write 60000
            skip
            expect flight 10000..20000
            """)
    }
}
