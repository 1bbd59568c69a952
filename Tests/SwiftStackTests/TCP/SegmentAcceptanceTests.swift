// SEGMENT ARRIVES (RFC 9293 section 3.10.7) and RFC 5961: every state against every kind of segment that does not fit.

import Testing

/// A state, and the script that leads there. The user has not closed but where the state says so.
enum Situation: String, CaseIterable {
    case synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait

    var script: String {
        switch self {
        case .synReceived:
            "accept\n< S 0:0(0) win 65535 <mss 1000,sackOK,wscale 7>\n> S. 0:0(0) ack 1\nexpect state synReceived"
        case .established: "established"
        case .finWait1: "established\nshutdown\n> F. 1:1(0) ack 1\nexpect state finWait1"
        case .finWait2: Self.finWait1.script + "\n+0.1 < . 1:1(0) ack 2\nexpect state finWait2"
        case .closeWait: "established\n< F. 1:1(0) ack 1\n+0~+0.04 > . 1:1(0) ack 2\nexpect state closeWait"
        case .closing: Self.finWait1.script + "\n< F. 1:1(0) ack 1\n+0~+0.04 > . 2:2(0) ack 2\nexpect state closing"
        case .lastAck: Self.closeWait.script + "\nshutdown\n> F. 1:1(0) ack 2\nexpect state lastAck"
        case .timeWait: Self.finWait2.script + "\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\nexpect state timeWait"
        }
    }

    /// RCV.NXT and SND.NXT, relative.
    var receiveNext: Int { [.closeWait, .closing, .lastAck, .timeWait].contains(self) ? 2 : 1 }
    var sendNext: Int { [.finWait1, .finWait2, .closing, .lastAck, .timeWait].contains(self) ? 2 : 1 }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
    var acknowledgment: String { "> . \(sendNext):\(sendNext)(0) ack \(receiveNext)" }

    static let synchronized = allCases.filter { $0 != .synReceived }
}

struct SegmentAcceptanceTests {
    /// Plays `lines` in `situation`; afterwards nothing may have changed.
    private func play(
        _ situation: Situation, _ lines: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        SwiftStackTests.play(
            "\(situation.script)\n\(lines)\nexpect nothing\nexpect state \(situation)", sourceLocation: sourceLocation)
    }

    /// RFC 9293 section 3.10.7.4, first check: what lies before the window is answered by an ACK.
    @Test(arguments: Situation.synchronized)
    func anOldSegmentIsAnsweredByAnACK(_ situation: Situation) {
        let old = situation.receiveNext - 1
        play(situation, "< . \(old):\(old)(0) ack \(situation.sendNext)\n\(situation.acknowledgment)")
    }

    @Test(arguments: Situation.allCases)
    func aSegmentBeyondTheWindowIsAnsweredByAnACK(_ situation: Situation) {
        play(
            situation,
            "< . 9000001:9000101(100) ack \(situation.sendNext)\n> * ack \(situation.receiveNext)\nexpect readable 0")
    }

    /// RFC 5961 section 3.2: a reset counts at RCV.NXT only.
    @Test(arguments: Situation.allCases.filter { $0 != .timeWait })
    func aResetAtTheRightPlaceEndsTheConnection(_ situation: Situation) {
        let failure =
            switch situation {
            case .synReceived: "refused"
            // In LAST-ACK what the peer has not acknowledged may be lost.
            case .established, .finWait1, .finWait2, .closeWait, .lastAck: "reset"
            case .closing, .timeWait: "none"
            }
        SwiftStackTests.play(
            """
            \(situation.script)
            < R \(situation.receiveNext):\(situation.receiveNext)(0)
            expect closed \(failure)
            expect nothing for 200
            expect no timer
            """)
    }

    /// RFC 1337 section 3: TIME-WAIT outlives resets, which may be old duplicates.
    @Test func aResetDoesNotEndTIMEWAIT() {
        play(.timeWait, "< R 2:2(0)")
    }

    /// RFC 5961 section 3.2: elsewhere in the window it is challenged.
    @Test(arguments: Situation.allCases)
    func aResetElsewhereInTheWindowIsChallenged(_ situation: Situation) {
        play(
            situation,
            "< R \(situation.receiveNext + 10):\(situation.receiveNext + 10)(0)\n> * ack \(situation.receiveNext)")
    }

    /// RFC 9293 section 3.10.7.4, first check: a reset is never answered by an ACK there.
    @Test(arguments: Situation.allCases, [-100_000, 9_000_000])
    func aResetOutsideOfTheWindowIsDropped(_ situation: Situation, _ offset: Int) {
        play(situation, "< R \(situation.receiveNext + offset):\(situation.receiveNext + offset)(0)")
    }

    /// RFC 5961 section 4.2: a SYN is challenged, wherever it lies.
    @Test(arguments: Situation.synchronized, [-1, 0, 100, 9_000_000])
    func aSYNIsChallenged(_ situation: Situation, _ offset: Int) {
        let sequence = situation.receiveNext + offset
        play(situation, "< S \(sequence):\(sequence)(0) win 65535 <mss 1000>\n\(situation.acknowledgment)")
    }

    /// RFC 5961 section 4.2
    @Test(arguments: Situation.synchronized)
    func aSYNACKIsChallenged(_ situation: Situation) {
        play(situation, "< S. 0:0(0) ack 1 win 65535 <mss 1000>\n\(situation.acknowledgment)")
    }

    /// RFC 9293 section 3.10.7.4, fifth check: no ACK bit, no further.
    @Test(arguments: Situation.allCases)
    func dataWithoutAnACKAreDropped(_ situation: Situation) {
        play(
            situation,
            "< - \(situation.receiveNext):\(situation.receiveNext + 100)(100)\nexpect nothing for 0.05\nexpect readable 0"
        )
    }

    /// RFC 9293 section 3.10.7.4, fifth check; RFC 5961 section 5.2.
    @Test(arguments: [Situation.established, .finWait1, .finWait2, .closeWait, .closing, .lastAck])
    func anACKOfWhatWasNotSentIsAnsweredByAnACK(_ situation: Situation) {
        let sequence = situation.receiveNext
        play(
            situation,
            """
            < . \(sequence):\(sequence + 100)(100) ack \(situation.sendNext + 1)
            \(situation.acknowledgment)
            expect readable 0
            """)
    }

    /// RFC 5961 section 5.2: older than the largest window the peer ever offered.
    @Test(arguments: [Situation.established, .finWait2, .closeWait])
    func anACKThatIsMuchTooOldIsChallenged(_ situation: Situation) {
        let sequence = situation.receiveNext
        play(
            situation,
            """
            < . \(sequence):\(sequence + 100)(100) ack -20000000
            \(situation.acknowledgment)
            expect readable 0
            """)
    }

    /// RFC 9293 section 3.10.7.4: an ACK of what was acknowledged before is ignored, its data are not.
    @Test func anOldACKIsNoHindranceToData() {
        SwiftStackTests.play(
            """
            established
            write 1000
            > P. 1:1001(1000) ack 1
            +0.1 < . 1:1(0) ack 1001
            < P. 1:101(100) ack 500
            expect readable 100
            +0~+0.04 > . 1001:1001(0) ack 101
            """)
    }

    /// RFC 9293 section 3.10.7.4, seventh check: nothing comes after a FIN.
    @Test(arguments: [Situation.closeWait, .closing, .lastAck])
    func dataBehindTheFINAreIgnored(_ situation: Situation) {
        SwiftStackTests.play(
            """
            \(situation.script)
            < . 2:102(100) ack 1
            skip
            expect readable 0
            expect state \(situation)
            """)
    }

    /// RFC 9293 section 3.10.7.4, eighth check: a FIN that comes again.
    @Test(arguments: [Situation.closeWait, .closing, .lastAck, .timeWait])
    func aFINThatComesAgainIsAcknowledged(_ situation: Situation) {
        play(situation, "< F. 1:1(0) ack 1\n\(situation.acknowledgment)")
    }
}

// MARK: - SYN-SENT and SYN-RECEIVED

extension SegmentAcceptanceTests {
    /// RFC 9293 section 3.10.7.3, first check.
    @Test(arguments: ["< . 0:0(0) ack 5", "< S. 0:0(0) ack 5 win 65535", "< F. 0:0(0) ack 5", "< . 0:100(100) ack 5"])
    func inSYNSENTAnUnacceptableACKIsReset(_ line: String) {
        SwiftStackTests.play("connect\n> S 0:0(0)\n\(line)\n> R 5:5(0)\nexpect state synSent")
    }

    /// … unless it is a reset itself; and of what was not sent, 0 too.
    @Test(arguments: [
        "< R. 0:0(0) ack 5", "< R. 0:0(0) ack 0", "< R 0:0(0)", "< . 0:0(0) ack 1", "< F 0:0(0)", "< - 0:100(100)",
        "< F. 0:0(0) ack 1", "< -",
    ])
    func inSYNSENTWhatSaysNothingIsDropped(_ line: String) {
        SwiftStackTests.play("connect\n> S 0:0(0)\n\(line)\nexpect nothing\nexpect state synSent")
    }

    /// RFC 9293 section 3.10.7.3, second check.
    @Test func inSYNSENTAResetOfTheSYNRefuses() {
        SwiftStackTests.play(
            "connect\n> S 0:0(0)\n+0.1 < R. 0:0(0) ack 1\nexpect closed refused\nexpect nothing for 5\nexpect no timer")
    }

    /// RFC 9293 section 3.5.1, figure 9: the other side is in the middle of an old connection.
    @Test func aHalfOpenConnectionOfOldIsDiscovered() {
        SwiftStackTests.play(
            """
            connect
            > S 0:0(0)
            +0.1 < . 300:300(0) ack 100
            > R 100:100(0)
            1.0 > S 0:0(0)
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1000>
            > . 1:1(0) ack 1
            expect state established
            """)
    }

    /// RFC 9293 section 3.10.7.4, fifth check, SYN-RECEIVED.
    @Test(arguments: [0, 2, 500])
    func inSYNRECEIVEDAnUnacceptableACKIsReset(_ number: Int) {
        SwiftStackTests.play(
            "\(Situation.synReceived.script)\n< . 1:1(0) ack \(number)\n> R \(number):\(number)(0)\nexpect state synReceived"
        )
    }
}
