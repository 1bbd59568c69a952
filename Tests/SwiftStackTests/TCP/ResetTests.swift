// Resets, challenges and their limit (RFC 9293 section 3.5.2, RFC 5961). The states one by one: `SegmentAcceptanceTests`.

import Testing

struct ResetTests {
    /// RFC 5961 section 3.2: a peer that means it answers the challenge with the right number.
    @Test func aChallengedResetCanBeConfirmed() {
        play(
            """
            established
            < R 500:500(0)
            > . 1:1(0) ack 1
            +0.1 < R 1:1(0)
            expect closed reset
            """)
    }

    /// RFC 5961 section 4.2: a peer that has restarted answers the challenge with a reset.
    @Test func aRestartedPeerEndsTheOldConnection() {
        play(
            """
            established
            < S 7000:7000(0) win 65535 <mss 1000>
            > . 1:1(0) ack 1
            +0.1 < R 1:1(0)
            expect closed reset
            """)
    }

    /// RFC 5961 section 10: ten in five seconds.
    @Test func challengesAreLimited() {
        let volley = Array(repeating: "< R 500:500(0)", count: 25).joined(separator: "\n")
        let challenges = Array(repeating: "> . 1:1(0) ack 1", count: 10).joined(separator: "\n")
        play(
            """
            established
            \(volley)
            \(challenges)
            expect nothing
            +5.1 \(volley)
            \(challenges)
            expect nothing
            """)
    }

    /// RFC 5961 section 10: the limit is of all challenges together.
    @Test func challengesOfAllKindsCount() {
        let volley = (0..<10).map { _ in "< R 500:500(0)\n< S 0:0(0)" }.joined(separator: "\n")
        play(
            """
            established
            \(volley)
            \(Array(repeating: "> . 1:1(0) ack 1", count: 10).joined(separator: "\n"))
            expect nothing
            """)
    }

    /// RFC 9293 section 3.8.4: who uses up the challenges does not silence the answers to keep-alive probes.
    @Test func probesAreAnsweredWhateverElseIsChallenged() {
        let volley = (0..<25).map { _ in "< R 500:500(0)" }.joined(separator: "\n")
        play(
            """
            established
            \(volley)
            skip
            < . 0:0(0) ack 1
            > . 1:1(0) ack 1
            """)
    }

    /// RFC 9293 section 3.10.7.4, second check: a reset may carry data (SHLD-2), and an ACK.
    @Test(arguments: ["R 1:11(10)", "R. 1:1(0) ack 1", "RP. 1:1(0) ack 1", "RF 1:1(0)"])
    func aResetMayCarryAnything(_ reset: String) {
        play("established\n< \(reset)\nexpect closed reset\nexpect nothing")
    }

    @Test func afterAResetNothingIsTakenOrSent() {
        play(
            """
            established
            write 3000
            > data 1:3001
            < R 1:1(0)
            expect closed reset
            write 100 takes 0
            < . ack 1
            < P. 1:101(100) ack 1
            < S 1:1(0)
            expect nothing for 1000
            expect no timer
            """)
    }

    /// RFC 9293 section 3.10.5: `<SEQ=SND.NXT><CTL=RST>`, and what was queued is gone.
    @Test(arguments: [Situation.established, .finWait1, .finWait2, .closeWait])
    func anAbortResets(_ situation: Situation) {
        play(
            """
            \(situation.script)
            abort
            > R? \(situation.sendNext):\(situation.sendNext)(0)
            expect state closed
            expect nothing for 1000
            expect no timer
            """)
    }

    @Test func anAbortWithDataInFlightResetsBehindThem() {
        play(
            """
            established
            write 20000
            > data 1:10001
            abort
            > R? 10001:10001(0)
            expect nothing for 1000
            """)
    }

    /// In LAST-ACK by its user, and not yet by what has been sent.
    @Test func anAbortWhileTheFINWaitsForItsTurnResets() {
        play(
            """
            established
            < F. 1:1(0) ack 1 win 1000
            > . 1:1(0) ack 2
            write 20000
            > data 1:10001
            shutdown
            abort
            > R? 10001:10001(0)
            expect state closed
            expect nothing for 1000
            expect no timer
            """)
    }

    /// RFC 9293 section 3.10.5: both sides have closed, there is nothing to abort.
    @Test(arguments: [Situation.closing, .lastAck, .timeWait])
    func anAbortAfterBothHaveClosedIsSilent(_ situation: Situation) {
        play(
            """
            \(situation.script)
            abort
            skip
            expect state closed
            expect no timer
            """)
    }

    /// RFC 5961 section 5.2, RFC 9293 section 3.10.7.4: data with an ACK out of range are not taken.
    @Test(arguments: [20_000, 2])
    func injectedDataNeedTheRightACK(_ number: Int) {
        play(
            """
            established
            < P. 1:101(100) ack \(number) other
            > . 1:1(0) ack 1
            expect readable 0
            """)
    }
}
