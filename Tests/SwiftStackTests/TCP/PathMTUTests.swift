// Paths that take less than the peer (RFC 1191, RFC 8201, RFC 4821).

import Testing

struct PathMTUTests {
    /// RFC 1191 section 3: segments get no longer than that, and what did not get through goes again.
    @Test func whatWasTooLongIsSentAgainInPieces() {
        play(
            """
            established
            write 2000
            > data 1:2001
            +0.02 pathmtu 500
            > . 1:501(500)
            skip
            """)
    }

    @Test func afterwardsSegmentsAreShorter() {
        play(
            """
            established
            pathmtu 500
            expect nothing
            write 1200
            > . 1:501(500)
            > . 501:1001(500)
            > P. 1001:1201(200)
            """)
    }

    /// RFC 1191 section 6.5: not a sign of congestion.
    @Test func aShorterPathIsNoCongestion() {
        play(
            """
            established
            write 10000
            > data 1:10001
            +0.02 pathmtu 900
            skip
            +0.1 < . ack 10001
            write 30000
            skip
            expect flight >=9000
            """)
    }

    /// RFC 8201 section 4: a report never makes segments longer.
    @Test func aLongerPathChangesNothing() {
        play(
            """
            established
            write 1000
            > . 1:1001(1000)
            pathmtu 1400
            pathmtu 1000
            expect nothing
            +0.1 < . ack 1001
            write 2000
            > . 1001:2001(1000)
            > P. 2001:3001(1000)
            """)
    }

    /// No report may stop the machine: there is a least length.
    @Test(arguments: [0, -1, 1, 20])
    func anImpossibleReportDoesNoHarm(_ size: Int) {
        play(
            """
            established
            pathmtu \(size)
            write 1000
            > . len 40..1000
            skip
            """)
    }

    @Test func theFINComesAgainBehindThePieces() {
        play(
            """
            established
            write 2000
            shutdown
            > data 1:2001
            > F. 2001:2001(0)
            +0.02 pathmtu 500
            > . 1:501(500)
            skip
            +0.1 < . ack 2002
            expect state finWait2
            """)
    }

    /// RFC 4821 section 7.7: where long segments vanish without a report, shorter ones are tried.
    @Test func aBlackHoleIsFound() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            +60 skip
            * > . len <=999
            """)
    }

    /// RFC 4821 section 7.7: short segments that get lost say nothing of the path.
    @Test func shortSegmentsThatGetLostSayNothing() {
        play(
            """
            established no sack
            write 100
            > . 1:101(100)
            +20 skip
            +0.1 < . ack 101
            write 1000
            > . 101:1101(1000)
            """)
    }

    /// RFC 4821 section 7.7: where short segments got lost as well, it was not their length.
    @Test func anOutageIsNoBlackHole() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            \(Self.shortened)
            write 3000
            > . 1001:2001(1000)
            skip
            +0.1 < . ack 2001
            skip
            +0.1 < . ack 4001
            write 1000
            > P. 4001:5001(1000)
            """)
    }

    /// RFC 4821 section 7.6.2: what long segments don't get through is found out by three of them, and every ten minutes.
    @Test func aBlackHoleStays() {
        let probes = (1...3).map { number in
            let start = 1000 * number + 1
            return """
                write 1000
                > . \(start):\(start + 1000)(1000)
                * > . \(start):\(start + 536)(536)
                +0.1 < . ack \(start + 536)
                * > . \(start + 536):\(start + 1000)(464)
                +0.1 < . ack \(start + 1000)
                """
        }
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            \(Self.shortened)
            \(probes.joined(separator: "\n"))
            write 1000
            > . 4001:4537(536)
            skip
            +0.1 < . ack 5001
            +600 write 1000
            > . 5001:6001(1000)
            """)
    }

    /// Three time-outs; then a shorter segment gets through.
    private static let shortened = """
        +0.3 > . 1:1001(1000)
        +0.6 > . 1:1001(1000)
        +1.2 > . 1:537(536)
        +0.1 < . ack 537
        > . 537:1001(464)
        +0.1 < . ack 1001
        """

    /// RFC 1191 section 6.3: ten minutes later it may be another path; and if it is not, that is no congestion.
    @Test func afterTenMinutesALongerSegmentIsTried() {
        play(
            """
            established
            pathmtu 500
            write 1000
            > . 1:501(500)
            > P. 501:1001(500)
            +0.1 < . ack 1001
            +590 write 1000
            > . 1001:1501(500)
            > P. 1501:2001(500)
            +0.1 < . ack 2001
            +10 write 1500
            > . 2001:3001(1000)
            > P. 3001:3501(500)
            +0.02 pathmtu 500
            > . 2001:2501(500)
            > . 2501:3001(500)
            +0.1 < . ack 3501
            +590 write 1000
            > . 3501:4001(500)
            > P. 4001:4501(500)
            +0.1 < . ack 4501
            +10 write 1000
            > P. 4501:5501(1000)
            +0.1 < . ack 5501
            write 2000
            > . 5501:6501(1000)
            > P. 6501:7501(1000)
            """)
    }

    /// RFC 1191 section 3: in a black hole a report says what gets through; of more than that it says nothing for ten minutes.
    @Test func aReportFromABlackHoleIsTried() {
        play(
            """
            established no sack
            write 1000
            > . 1:1001(1000)
            \(Self.shortened)
            pathmtu 800
            write 800
            > P. 1001:1801(800)
            +0.1 < . ack 1801
            write 1000
            > . 1801:2601(800)
            > P. 2601:2801(200)
            +0.1 < . ack 2801
            +600 write 1000
            > P. 2801:3801(1000)
            """)
    }

    /// RFC 4821 section 7.4: a probe that gets lost alone tells of the path, not of congestion.
    @Test func aProbeThatGetsLostCostsNoWindow() {
        play(
            """
            established
            pathmtu 500
            +600 write 4000
            > . 1:1001(1000)
            > data 1001:4001
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:501(500)
            > . 501:1001(500)
            +0.1 < . ack 4001
            write 30000
            skip
            expect flight >=5000
            """)
    }

    /// RFC 4821 section 7.7: after an outage what got through before is tried first, and at once.
    @Test func anOutageOnAShorterPathIsNoBlackHole() {
        play(
            """
            established no sack
            pathmtu 800
            write 800
            > P. 1:801(800)
            +0.3 > P. 1:801(800)
            +0.6 > P. 1:801(800)
            +1.2 > . 1:537(536)
            +0.1 < . ack 537
            > P. 537:801(264)
            +0.1 < . ack 801
            write 800
            > P. 801:1601(800)
            """)
    }

    @Test func timestampsAreDeductedFromAShorterPathToo() {
        play(
            """
            established timestamps
            pathmtu 512
            write 1000
            > . 1:501(500)
            > P. 501:1001(500)
            """)
    }
}
