// How a connection is opened (RFC 9293 section 3.5), and what its SYNs agree upon.

import Testing

struct HandshakeTests {
    /// RFC 9293 section 3.5, figure 6.
    @Test func anActiveOpenTakesThreeSegments() {
        play(
            """
            connect
            > S 0:0(0)
            expect state synSent
            expect no event opened
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
            > . 1:1(0) ack 1
            expect state established
            expect event opened
            """)
    }

    /// RFC 9293 section 3.10.7.2
    @Test func aPassiveOpenTakesThreeSegments() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1460>
            > S. 0:0(0) ack 1
            expect state synReceived
            expect no event opened
            +0.1 < . 1:1(0) ack 1
            expect state established
            expect event opened
            expect nothing for 1.0
            """)
    }

    /// RFC 9293 section 3.7.1 (SHLD-5), RFC 7323 sections 2.2 and 3.2 (TSecr is 0 where there is no ACK), RFC 2018 section 2.
    @Test func theSYNOffersAllThereIs() {
        play(
            """
            connect
            > S 0:0(0) win 65535 <mss 1460,sackOK,TS ecr zero,wscale 7>
            """)
    }

    @Test(arguments: [
        ("no sack", "mss 1460,!sackOK,TS ecr zero,wscale 7"), ("no timestamps", "mss 1460,sackOK,!TS,wscale 7"),
        ("no scale", "mss 1460,sackOK,!wscale"), ("mss 1220", "mss 1220"), ("scale 2", "wscale 2"),
        ("scale 0", "wscale 0"),
    ])
    func theSYNOffersWhatIsConfigured(_ word: String, _ options: String) {
        play("\(word)\nconnect\n> S 0:0(0) <\(options)>")
    }

    /// RFC 7323 sections 2.2 and 3.2, RFC 2018 section 2: only what the SYN offered.
    @Test(arguments: [
        ("mss 1460", "mss 1460,!sackOK,!TS,!wscale"), ("mss 1460,sackOK", "mss 1460,sackOK,!TS,!wscale"),
        ("mss 1460,TS val 5 ecr zero", "!sackOK,TS ecr 5,!wscale"), ("mss 1460,wscale 3", "!sackOK,!TS,wscale 7"),
        ("mss 1460,sackOK,TS val 9 ecr zero,wscale 0", "mss 1460,sackOK,TS ecr 9,wscale 7"),
    ])
    func theSYNACKAnswersWhatIsOffered(_ offer: String, _ answer: String) {
        play("accept\n< S 0:0(0) win 65535 <\(offer)>\n> S. 0:0(0) ack 1 <\(answer)>")
    }

    /// RFC 7323 sections 1.3 and 3.2, RFC 2018 section 2: what this side did not offer is not in force, whatever the answer says.
    @Test func whatWasNotOfferedIsNotInForce() {
        play(
            """
            no scale
            no timestamps
            no sack
            connect
            > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 1000 <mss 1000,sackOK,TS val 1 ecr zero,wscale 7>
            > . 1:1(0) ack 1 <!TS,!sack>
            write 3000
            > . 1:1001(1000) ack 1 <!TS>
            +0.1 < . 1001:2001(1000) ack 1001 win 1000
            > . 1001:2001(1000) ack 1 <!sack,!TS>
            """)
    }

    /// RFC 6298 section 2.1 and 5.5: after a second, then twice as long each time; RFC 9293 section 3.8.3 gives up.
    @Test func aSYNWithoutAnAnswerIsSentAgain() {
        play(
            """
            connect
            > S 0:0(0)
            1.0 > S 0:0(0)
            3.0 > S 0:0(0)
            7.0 > S 0:0(0)
            15.0 > S 0:0(0)
            31.0 > S 0:0(0)
            63.0 > S 0:0(0)
            123.0 > S 0:0(0)
            expect nothing until 182
            184 expect closed timedOut
            """)
    }

    @Test func aConfiguredNumberOfRetriesIsKept() {
        play(
            """
            syn retries 1
            rto initial 500ms
            connect
            > S 0:0(0)
            0.5 > S 0:0(0)
            expect nothing until 1.4
            1.6 expect closed timedOut
            expect no timer
            """)
    }

    /// RFC 6298 section 2.1, RFC 9293 section 3.8.1
    @Test func aSYNACKWithoutAnAnswerIsSentAgain() {
        play(
            """
            syn retries 2
            accept
            < S 0:0(0) win 65535 <mss 1460>
            > S. 0:0(0) ack 1
            1.0 > S. 0:0(0) ack 1
            3.0 > S. 0:0(0) ack 1
            expect nothing until 6.9
            7.1 expect closed timedOut
            """)
    }

    /// Karn's algorithm: which SYN-ACK is acknowledged can't be told, so the time-out is still the first.
    @Test func aSYNACKThatWasSentAgainMeasuresNothing() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            +0.5 < S 0:0(0) win 65535 <mss 1000>
            > * ack 1
            +0.1 < . 1:1(0) ack 1
            write 500
            > P. 1:501(500)
            +1.0 > P. 1:501(500)
            """)
    }

    /// The same where SYNs cross.
    @Test func aSYNThatWasSentAgainBeforeItCrossedMeasuresNothing() {
        play(
            """
            connect
            > S 0:0(0)
            1.0 > S 0:0(0)
            3.0 > S 0:0(0)
            4.0 < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            +0.1 < . 1:1(0) ack 1
            write 500
            > P. 1:501(500)
            +3.0 > P. 1:501(500)
            """)
    }

    /// RFC 9293 section 3.10.7.4: the SYN came twice, the answer got lost.
    @Test func aSYNThatComesAgainIsAnswered() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1460>
            > S. 0:0(0) ack 1
            +0.5 < S 0:0(0) win 65535 <mss 1460>
            > * ack 1
            expect state synReceived
            +0.1 < . 1:1(0) ack 1
            expect state established
            """)
    }

    /// RFC 6298 section 5.7: a RTO below three seconds is three once the SYN was sent again.
    @Test func aLostSYNMakesTheTimeoutThreeSeconds() {
        play(
            """
            connect
            > S 0:0(0)
            1.0 > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            write 1000
            > P. 1:1001(1000) ack 1
            +3.0 > P. 1:1001(1000) ack 1
            """)
    }

    /// RFC 5681 section 3.1, RFC 6928 section 2: a path that loses SYNs gets one segment at first.
    @Test func aSYNLostTwiceMakesTheInitialWindowOneSegment() {
        play(
            """
            connect
            > S 0:0(0)
            1.0 > S 0:0(0)
            3.0 > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            write 5000
            > . 1:1001(1000) ack 1
            expect nothing
            """)
    }

    /// Whether or not timestamps tell which of the SYNs was answered.
    @Test func timestampsDoNotMakeThatMore() {
        play(
            """
            connect
            > S 0:0(0)
            1.0 > S 0:0(0)
            3.0 > S 0:0(0) <TS val $syn>
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000,TS val 1000 ecr $syn>
            > . 1:1(0) ack 1
            write 5000
            > . 1:989(988) ack 1
            expect nothing
            """)
    }

    /// RFC 9293 section 3.10.7.3: data with a SYN may wait, but are not lost.
    @Test func dataInASYNACKAreDeliveredOnce() {
        play(
            """
            connect
            > S 0:0(0)
            +0.1 < S. 0:100(100) ack 1 win 65535 <mss 1460>
            > . 1:1(0)
            skip
            +0.1 < . 1:101(100) ack 1
            +1 skip
            read all gives 100
            """)
    }

    @Test func dataInASYNAreDeliveredOnce() {
        play(
            """
            accept
            < S 0:100(100) win 65535 <mss 1460>
            > S. 0:0(0)
            +0.1 < . 1:101(100) ack 1
            +0.1 skip
            read all gives 100
            """)
    }

    /// RFC 9293 section 3.10.7.4: the third segment of the handshake may carry data, and a FIN.
    @Test func theLastSegmentOfTheHandshakeMayCarryData() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1460>
            > S. 0:0(0) ack 1
            +0.1 < P. 1:101(100) ack 1
            expect event opened
            expect event canRead
            read 100
            """)
    }

    @Test func theLastSegmentOfTheHandshakeMayCarryAFIN() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1460>
            > S. 0:0(0) ack 1
            +0.1 < F. 1:101(100) ack 1
            +0~+0.04 > . 1:1(0) ack 102
            expect state closeWait
            expect finished
            read 100
            """)
    }

    /// RFC 9293 section 3.10.4: data wait for the connection.
    @Test func whatIsWrittenEarlyIsSentOnceOpen() {
        play(
            """
            connect
            > S 0:0(0)
            write 1500
            expect nothing
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1001(1000) ack 1
            > P. 1001:1501(500) ack 1
            """)
    }

    @Test func whatIsWrittenEarlyIsSentOnceAccepted() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            write 500
            expect nothing
            +0.1 < . 1:1(0) ack 1
            > P. 1:501(500) ack 1
            """)
    }

    /// RFC 9293 section 3.10.4, SYN-RECEIVED: the FIN follows the data.
    @Test func aCloseBeforeTheHandshakeIsOverFollowsTheData() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            write 500
            close
            expect nothing
            +0.1 < . 1:1(0) ack 1
            > FP. 1:501(500) ack 1
            expect state finWait1
            """)
    }

    /// RFC 9293 section 3.10.4, SYN-SENT: nobody knows of the connection yet.
    @Test(arguments: ["close", "abort"])
    func aConnectionThatIsNotThereYetEndsWithoutASegment(_ action: String) {
        play(
            """
            connect
            > S 0:0(0)
            \(action)
            expect state closed
            expect nothing for 10
            expect no timer
            """)
    }

    /// RFC 9293 section 3.10.5, SYN-RECEIVED
    @Test func anAbortOfAHalfOpenConnectionTellsThePeer() {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            abort
            > R? 1:1(0)
            expect state closed
            """)
    }
}

// MARK: - Maximum segment size

extension HandshakeTests {
    /// RFC 9293 section 3.7.1 (MUST-15): 536 where the peer says nothing, 1220 for IPv6.
    @Test(arguments: [536, 1220])
    func aPeerThatAnnouncesNothingTakesTheDefault(_ size: Int) {
        play(
            """
            default mss \(size)
            connect
            > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 65535
            > . 1:1(0) ack 1
            write \(2 * size)
            > . 1:\(size + 1)(\(size)) ack 1
            > P. \(size + 1):\(2 * size + 1)(\(size)) ack 1
            """)
    }

    /// RFC 9293 section 3.7.1 (MUST-14, MUST-16), RFC 6691: the less of both, options deducted.
    @Test(arguments: [(1460, "", 1460), (9000, "", 1460), (700, "", 700), (1000, ",TS val 1 ecr zero", 988)])
    func segmentsAreAsLongAsBothSidesTake(_ announced: Int, _ options: String, _ length: Int) {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss \(announced)\(options)>
            > S. 0:0(0) ack 1
            +0.1 < . 1:1(0) ack 1
            write 3000
            > . 1:\(length + 1)(\(length)) ack 1
            skip
            """)
    }

    /// No packet may hang the machine: what is impossibly small is something else.
    @Test(arguments: [0, 1, 12])
    func anImpossibleSegmentSizeDoesNoHarm(_ size: Int) {
        play(
            """
            accept
            < S 0:0(0) win 65535 <mss \(size),TS val 1 ecr zero>
            > S. 0:0(0) ack 1
            +0.1 < . 1:1(0) ack 1
            write 500
            > . len >=1
            skip
            """)
    }
}

// MARK: - Simultaneous open

extension HandshakeTests {
    /// RFC 9293 section 3.5, figure 7 (MUST-10, MUST-11).
    @Test(arguments: ["S. 0:0(0) ack 1 win 65535 <mss 1000>", ". 1:1(0) ack 1"])
    func bothSidesMayOpenAtOnce(_ last: String) {
        play(
            """
            connect
            > S 0:0(0)
            +0.05 < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            expect state synReceived
            expect no event opened
            +0.05 < \(last)
            expect state established
            expect event opened
            skip
            write 500
            > P. 1:501(500) ack 1
            """)
    }

    /// RFC 9293 section 3.10.7.3: sent again as a SYN-ACK.
    @Test func aSimultaneousOpenSurvivesLoss() {
        play(
            """
            connect
            > S 0:0(0)
            +0.5 < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            +0.5~+1.0 > S. 0:0(0) ack 1
            """)
    }

    /// RFC 9293 section 3.10.7.4: a reset in SYN-RECEIVED after an active open.
    @Test func aSimultaneousOpenCanBeRefused() {
        play(
            """
            connect
            > S 0:0(0)
            +0.5 < S 0:0(0) win 65535 <mss 1000>
            > S. 0:0(0) ack 1
            < R 1:1(0)
            expect closed refused
            """)
    }
}
