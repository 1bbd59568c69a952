// ECN (RFC 3168 section 6.1).

import Testing

struct ExplicitCongestionNotificationTests {
    /// RFC 3168 section 6.1.1
    @Test func itIsAgreedUponActively() {
        play("established ecn\nwrite 1000\n> P. 1:1001(1000) ect")
    }

    /// RFC 3168 section 6.1.1: whoever is asked agrees.
    @Test func itIsAgreedUponPassively() {
        play("established passive ecn\nwrite 1000\n> P. 1:1001(1000) ect")
    }

    @Test func withoutAskingThereIsNone() {
        play("established\nwrite 1000\n> P. 1:1001(1000) noect")
    }

    /// RFC 3168 section 6.1.1: a peer that does not know it, and one that only echoes what it got.
    @Test(arguments: ["S.", "S.EW", "S.W"])
    func aPeerMayNotKnowIt(_ flags: String) {
        play(
            """
            ecn
            connect
            > SEW 0:0(0)
            +0.1 < \(flags) 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            write 1000
            > P. 1:1001(1000) noect
            """)
    }

    /// RFC 3168 section 6.1.1: only both bits of a SYN ask.
    @Test(arguments: ["SE", "SW"])
    func halfARequestIsNone(_ flags: String) {
        play("accept\n< \(flags) 0:0(0) win 65535 <mss 1000>\n> S. 0:0(0) ack 1")
    }

    /// RFC 3168 sections 6.1.1, 6.1.4 and 6.1.5
    @Test func SYNsACKsAndRetransmissionsAreNotMarked() {
        play(
            """
            ecn
            connect
            > SEW 0:0(0) noect
            +0.1 < S.E 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1 noect
            write 1000
            > P. 1:1001(1000) ect
            +0.3 > P. 1:1001(1000) noect
            """)
    }

    /// RFC 3168 section 6.1.3: said until the sender has reduced its window.
    @Test func congestionIsEchoedUntilThePeerHasReducedItsWindow() {
        play(
            """
            established ecn
            < . 1:2921(2920) ack 1 ce count 2
            > .E 1:1(0) ack 2921
            < . 2921:5841(2920) ack 1 count 2
            > .E 1:1(0) ack 5841
            < .W 5841:8761(2920) ack 1 count 2
            > . 1:1(0) ack 8761
            """)
    }

    /// RFC 3168 section 6.1.3: a mark together with CWR begins it anew.
    @Test func congestionAfterTheReductionIsEchoedAgain() {
        play(
            """
            established ecn
            < . 1:2921(2920) ack 1 ce count 2
            > .E 1:1(0) ack 2921
            < .W 2921:5841(2920) ack 1 ce count 2
            > .E 1:1(0) ack 5841
            """)
    }

    @Test func withoutAgreementNothingIsEchoed() {
        play("established\n< . 1:2921(2920) ack 1 ce count 2\n> . 1:1(0) ack 2921")
    }

    @Test func dataCarryTheEchoToo() {
        play(
            """
            established ecn
            < . 1:2921(2920) ack 1 ce count 2
            > .E 1:1(0) ack 2921
            write 1000
            > P.E 1:1001(1000) ack 2921 ect
            """)
    }

    /// RFC 3168 section 6.1.2: as for a loss; CWR with the next new data, and on the first of them only.
    @Test func anEchoReducesTheWindow() {
        play(
            """
            newreno
            established ecn
            write 30000
            > data 1:10001
            +0.1 < .E ack 10001
            > .W 10001:11001(1000) ect
            > . 11001:12001(1000) ect
            skip
            expect flight 4000..6000
            """)
    }

    /// RFC 3168 section 6.1.2: once in a round trip.
    @Test func severalEchoesReduceItOnce() {
        play(
            """
            newreno
            established ecn
            write 40000
            > data 1:10001
            +0.1 < .E ack 1001
            < .E ack 3001
            < .E ack 5001
            < .E ack 7001
            < .E ack 10001
            skip
            expect flight 4000..7000
            """)
    }

    /// RFC 3168 section 6.1.2: an echo of before the peer has heard of the reduction is of the same congestion.
    @Test func anEchoThatCrossesTheConfirmationReducesNothing() {
        play(
            """
            newreno
            established ecn
            write 10000
            > data 1:10001
            +0.1 < .E ack 10001
            < .E ack 10001 win 65000
            write 40000
            measure
            skip
            expect flight 4000..5500
            +0.1 < . ack 12001
            write 40000
            skip
            +0.1 < .E ack 14001
            skip
            """)
    }

    /// RFC 3168 section 6.1.2: the window was reduced, for whatever reason; else the peer's echo would reduce it again.
    @Test func aLossIsConfirmedAsWell() {
        play(
            """
            newreno
            established ecn
            write 40000
            > data 1:10001
            +0.1 < .E ack 1 <sack 1001:5001>
            > . 1:1001(1000)
            +0.1 < .E ack 10001
            > .W 10001:11001(1000) ect
            skip
            """)
    }

    @Test func withoutAgreementAnEchoMeansNothing() {
        play(
            """
            established
            write 30000
            > data 1:10001
            +0.1 < .E ack 10001
            > . 10001:11001(1000)
            skip
            expect flight >=10000
            """)
    }

    /// RFC 3168 section 6.1.1.1: paths that drop such SYNs.
    @Test func aSYNThatGetsLostDoesNotAskAgainForEver() {
        play(
            """
            ecn
            connect
            > SEW 0:0(0)
            1.0 > *
            3.0 > S 0:0(0)
            """)
    }
}
