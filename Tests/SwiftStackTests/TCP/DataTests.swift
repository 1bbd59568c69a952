// Data that come in: in order and out of order, twice, too many (RFC 9293 section 3.10.7.4, seventh check).

import Testing

struct DataTests {
    /// RFC 9293 section 3.10.7.4: what is next is the user's.
    @Test func dataInOrderCanBeRead() {
        play(
            """
            established
            < P. 1:1001(1000) ack 1
            expect event canRead
            expect readable 1000
            +0~+0.04 > . 1:1(0) ack 1001
            read 1000
            expect readable 0
            """)
    }

    @Test func readingTakesAsMuchAsItWants() {
        play(
            """
            established
            < . 1:1001(1000) ack 1
            < P. 1001:1501(500) ack 1
            +0.1 skip
            read 300
            read 900
            expect readable 300
            read all gives 300
            read all gives 0
            """)
    }

    /// Receive offload: segments that were joined are as good as by themselves.
    @Test func joinedSegmentsAreTaken() {
        play(
            """
            established
            < P. 1:40001(40000) ack 1 count 40
            > . 1:1(0) ack 40001
            read all gives 40000
            """)
    }

    @Test func singleBytesAddUp() {
        play(
            """
            established
            \((1...200).map { "< P. \($0):\($0 + 1)(1) ack 1" }.joined(separator: "\n"))
            +0.1 skip
            expect readable 200
            read all gives 200
            """)
    }

    /// RFC 9293 section 3.8.6.3 (SHLD-31, MAY-13), RFC 5681 section 4.2: the missing piece is asked for at once.
    @Test func dataOutOfOrderWaitForWhatIsMissing() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1
            expect no event canRead
            expect readable 0
            < . 1:1001(1000) ack 1
            > . 1:1(0) ack 2001
            expect event canRead
            read 2000
            """)
    }

    @Test func severalGapsAreFilledInAnyOrder() {
        play(
            """
            established
            < . 4001:5001(1000) ack 1
            < . 2001:3001(1000) ack 1
            < . 1:1001(1000) ack 1
            < . 3001:4001(1000) ack 1
            skip
            expect readable 1000
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 5001
            read all gives 5000
            """)
    }

    /// RFC 9293 section 3.10.7.4: only what is new is taken; what came first stays.
    @Test(arguments: [
        ("begins before", "< . 501:1501(1000) ack 1", 1501), ("lies within", "< . 201:301(100) ack 1 other", 1001),
        ("is the same", "< . 1:1001(1000) ack 1 other", 1001),
    ])
    func whatOverlapsDataInOrderIsTrimmed(_ what: String, _ line: String, _ next: Int) {
        play(
            """
            established
            < . 1:1001(1000) ack 1
            \(line)
            +0.1 skip
            expect readable \(next - 1)
            read all gives \(next - 1)
            < . \(next):\(next + 1)(1) ack 1
            +0~+0.04 > . ack \(next + 1)
            """)
    }

    @Test(arguments: [
        ("begins before", "1501:2501(1000)", 1001), ("ends behind", "2501:3501(1000)", 1001),
        ("covers", "1001:4001(3000)", 1001),
        ("lies within", "2201:2301(100)", 1001), ("is the same", "2001:3001(1000)", 1001),
    ])
    func whatOverlapsDataOutOfOrderIsTrimmed(_ what: String, _ range: String, _ next: Int) {
        play(
            """
            established
            < . 2001:3001(1000) ack 1
            < . \(range) ack 1
            < . 1:2001(2000) ack 1
            < . 3001:4001(1000) ack 1
            skip
            read all gives 4000
            """)
    }

    /// Whatever a peer says the second time, the user reads what it said first (as all stacks do; RFC 9293 leaves it open).
    @Test func whatCameFirstWins() {
        play(
            """
            established
            < . 2001:3001(1000) ack 1
            < . 2001:3001(1000) ack 1 other
            < . 1001:2001(1000) ack 1
            < . 2501:2601(100) ack 1 other
            < . 1:1001(1000) ack 1
            < . 1:3001(3000) ack 1 other
            skip
            read all gives 3000
            """)
    }

    /// Pieces without end must not cost memory without end: those that are too many are as if they had got lost.
    @Test func veryManyPiecesOutOfOrderAreBounded() {
        play(
            """
            established
            \((1...2000).map { "< . \(2 * $0):\(2 * $0 + 1)(1) ack 1" }.joined(separator: "\n"))
            skip
            expect readable 0
            < . 1:1001(1000) ack 1 count 1
            < . 1001:2001(1000) ack 1
            < . 2001:3001(1000) ack 1
            < . 3001:4002(1001) ack 1
            +0.1 skip
            read all gives 4001
            """)
    }

    /// RFC 9293 section 3.10.7.4, first check: the part that fits is taken.
    @Test func dataBeyondTheWindowAreTrimmed() {
        play(
            """
            window 3000
            established no scale
            < . 1:4001(4000) ack 1 count 4
            > . 1:1(0) ack 3001 win 0
            read all gives 3000
            > . 1:1(0) ack 3001 win 3000
            """)
    }

    @Test func dataOutOfOrderBeyondTheWindowAreTrimmed() {
        play(
            """
            window 3000
            established no scale
            < . 2001:4001(2000) ack 1 count 2
            > . 1:1(0) ack 1 <sack 2001:3001>
            < . 1:2001(2000) ack 1 count 2
            > . 1:1(0) ack 3001 win 0
            """)
    }

    /// RFC 9293 section 3.10.7.4, first check: a FIN has its place in the sequence, and may lie beyond the window.
    @Test func aFINBeyondTheWindowIsNotThereYet() {
        play(
            """
            window 1000
            established no scale
            < F. 1:1001(1000) ack 1
            +0~+0.04 > . 1:1(0) ack 1001 win 0
            expect no finished
            expect state established
            read 1000
            > . 1:1(0) ack 1001 win 1000
            < F. 1001:1001(0) ack 1
            +0~+0.04 > . 1:1(0) ack 1002
            expect finished
            """)
    }

    @Test func aFINWaitsForTheDataBeforeIt() {
        play(
            """
            established
            < F. 1001:2001(1000) ack 1
            > . 1:1(0) ack 1
            expect no finished
            expect state established
            < . 1:1001(1000) ack 1
            > . 1:1(0) ack 2002
            expect finished
            expect state closeWait
            read 2000
            """)
    }
}
