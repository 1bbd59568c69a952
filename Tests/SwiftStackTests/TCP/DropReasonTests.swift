// Every reason for which TCP takes a segment, or a part of it, not in: each is told, and counted, by itself.

import Testing

struct DropReasonTests {
    /// What is dropped on an established connection that has sent 1000 bytes and taken 1000.
    @Test(arguments: [
        // A reset that is not at RCV.NXT, in the window and outside of it.
        ("R. 1002:1002(0) ack 1", "reset"), ("R. 500:500(0) ack 1", "reset"),
        ("S 1001:1001(0)", "synchronized"), ("S. 5000:5000(0) ack 1", "synchronized"),
        // Without any, of what was never sent, and of long ago.
        ("P 1001:1101(100)", "acknowledgment"), (". 1001:1101(100) ack 1002", "acknowledgment"),
        (". 1001:1101(100) ack -200000", "acknowledgment"),
        // A keep-alive probe, and an acknowledgment from nowhere.
        (". 1000:1000(0) ack 1", "sequence"), (". 200000:200000(0) ack 1", "sequence"),
        (". 501:1001(500) ack 1", "duplicate"), (". 200000:200100(100) ack 1", "window"),
        // What there is room for of it is taken.
        ("F. 10990:11001(11) ack 1", "window"), (". 10991:11091(100) ack 1", "window"),
        (". 1001:1101(100) ack 1", "nothing"), (". 901:1101(200) ack 1", "nothing"),
        (". 2001:2101(100) ack 1", "nothing"),
    ])
    func ofAnOpenConnection(_ segment: String, _ reason: String) {
        play(
            """
            window 10000
            established no scale
            < . 1:1001(1000) ack 1
            read all
            write 1000
            skip
            < \(segment)
            expect dropped \(reason)
            * skip
            """)
    }

    @Test(arguments: [
        ("R 7:7(0)", "reset"), ("R. 0:0(0) ack 2", "reset"), (". 1:1(0) ack 2", "acknowledgment"),
        (". 1:1(0) ack 1", "sequence"),
    ])
    func ofOneThatOpens(_ segment: String, _ reason: String) {
        play(
            """
            connect
            skip
            < \(segment)
            expect dropped \(reason)
            expect state synSent
            skip
            """)
    }

    @Test func whatHasArrivedOutOfOrderBefore() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            expect dropped nothing
            < . 1001:2001(1000) ack 1
            expect dropped duplicate
            skip
            """)
    }

    @Test func anOldTimestampAndNoneAtAll() {
        play(
            """
            established timestamps
            < . 1:101(100) ack 1 <TS val 2000 ecr $syn>
            < . 101:201(100) ack 1 <TS val 1999 ecr $syn>
            expect dropped timestamp
            < . 101:201(100) ack 1
            expect dropped timestamp
            * skip
            """)
    }

    @Test func dataThatComeAfterAClose() {
        play(
            """
            established
            close
            skip
            < . 1:101(100) ack 2
            expect dropped closed
            skip
            """)
    }

    @Test func whatThePeerSaysBehindItsEnd() {
        play(
            """
            established
            < F. 1:1(0) ack 1
            skip
            < . 2:102(100) ack 1
            expect dropped sequence
            < F. 1:1(0) ack 1
            expect dropped duplicate
            skip
            """)
    }

    @Test func piecesOutOfOrderThatAreTooMany() {
        let pieces = (1...256).map { "< . \(4 * $0 + 1):\(4 * $0 + 2)(1) ack 1\nexpect dropped nothing" }
        play(
            """
            established
            \(pieces.joined(separator: "\n"))
            < . 4001:4002(1) ack 1
            expect dropped outOfOrder
            skip
            """)
    }
}
