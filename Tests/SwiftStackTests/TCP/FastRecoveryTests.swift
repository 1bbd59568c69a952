// Fast retransmit and fast recovery without SACK (RFC 5681 section 3.2, RFC 6582, RFC 3042).

import Testing

struct FastRecoveryTests {
    private static let flight = """
        newreno
        established no sack
        write 5000
        > data 1:5001
        """
    private static let duplicates = "< . ack 1\n< . ack 1"

    /// RFC 5681 section 3.2: the third duplicate.
    @Test func threeDuplicatesSendTheFirstSegmentAgain() {
        play(
            """
            \(Self.flight)
            +0.1 < . ack 1
            < . ack 1
            expect nothing
            < . ack 1
            > . 1:1001(1000)
            expect nothing
            """)
    }

    @Test func twoDuplicatesDoNothing() {
        play("\(Self.flight)\n+0.1 < . ack 1\n< . ack 1\nexpect nothing for 0.15")
    }

    /// RFC 5681 section 2: a duplicate carries no data, and says the same window.
    @Test(arguments: ["< P. 1:2(1) ack 1", "< . ack 1 win 60000"])
    func whatSaysSomethingElseIsNoDuplicate(_ line: String) {
        play("\(Self.flight)\n+0.1 \(Self.duplicates)\n\(line)\nexpect nothing for 0.01")
    }

    @Test func duplicatesWithNothingInFlightDoNothing() {
        play("established no sack\n\(Self.duplicates)\n\(Self.duplicates)\nexpect nothing for 10")
    }

    /// RFC 6582 section 3.2, step 2: it is sent again once.
    @Test func moreDuplicatesSendNothingAgain() {
        play(
            """
            \(Self.flight)
            +0.1 \(Self.duplicates)
            < . ack 1
            > . 1:1001(1000)
            < . ack 1
            expect nothing for 0.1
            """)
    }

    /// RFC 6582 section 3.2, step 3: a partial acknowledgment means another loss.
    @Test func aPartialAcknowledgmentSendsTheNextLossAgain() {
        play(
            """
            \(Self.flight)
            +0.1 \(Self.duplicates)
            < . ack 1
            > . 1:1001(1000)
            +0.1 < . ack 3001
            > . 3001:4001(1000)
            expect nothing
            +0.1 < . ack 5001
            expect no timer
            """)
    }

    /// RFC 6582 section 3.2, step 3: a full acknowledgment ends recovery; duplicates that are late start no new one.
    @Test func aFullAcknowledgmentEndsRecovery() {
        play(
            """
            \(Self.flight)
            +0.1 \(Self.duplicates)
            < . ack 1
            > . 1:1001(1000)
            +0.1 < . ack 5001
            write 1000
            > . 5001:6001(1000)
            +0.1 < . ack 6001
            expect no timer
            """)
    }

    /// RFC 5681 section 3.2, step 6: half of what was in flight, and linear growth from there.
    @Test func recoveryHalvesTheWindow() {
        play(
            """
            newreno
            established no sack
            write 10000
            > data 1:10001
            +0.1 \(Self.duplicates)
            < . ack 1
            > . 1:1001(1000)
            +0.1 < . ack 10001
            write 20000
            skip
            expect flight 4000..5999
            """)
    }

    /// RFC 3042: each of the first two duplicates lets one new segment go.
    @Test func limitedTransmit() {
        play(
            """
            newreno
            established no sack
            write 20000
            > data 1:10001
            +0.1 < . ack 1
            > . 10001:11001(1000)
            < . ack 1
            > . 11001:12001(1000)
            < . ack 1
            > . 1:1001(1000)
            """)
    }

    /// RFC 5681 section 3.2, step 4, or RFC 6937: what leaves the network makes room.
    @Test func duplicatesLetNewDataGo() {
        play(
            """
            newreno
            established no sack
            write 20000
            > data 1:10001
            +0.1 \(Array(repeating: "< . ack 1", count: 9).joined(separator: "\n"))
            skip
            expect in flight 10001
            expect not in flight 15001
            """)
    }

    /// RFC 6582 section 3.2, step 1 (recover): duplicates of before a time-out are no new loss.
    @Test func duplicatesAfterATimeoutDoNotRecoverAgain() {
        play(
            """
            \(Self.flight)
            +0.3 > . 1:1001(1000)
            +0.01 \(Self.duplicates)
            < . ack 1
            < . ack 1
            expect nothing for 0.1
            """)
    }

    /// RFC 6582 section 3.2: the timer is the last resort in recovery too.
    @Test func aLostRetransmissionTimesOut() {
        play(
            """
            \(Self.flight)
            +0.1 \(Self.duplicates)
            < . ack 1
            > . 1:1001(1000)
            +0.2~+0.3 > . 1:1001(1000)
            """)
    }
}
