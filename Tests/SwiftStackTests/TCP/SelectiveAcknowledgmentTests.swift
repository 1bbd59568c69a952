// SACK: what this side reports (RFC 2018, RFC 2883), and what it makes of reports (RFC 2018, RFC 6675).

import Testing

struct SelectiveAcknowledgmentTests {
    // MARK: As receiver

    /// RFC 2018 section 3
    @Test func aGapIsReported() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:2001>
            """)
    }

    /// RFC 2018 section 4: the block of the segment that has just come is the first.
    @Test func theLatestBlockComesFirst() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:2001>
            < . 5001:6001(1000) ack 1
            > . 1:1(0) ack 1 <sack 5001:6001 1001:2001>
            < . 3001:4001(1000) ack 1
            > . 1:1(0) ack 1 <sack 3001:4001 5001:6001 1001:2001>
            < . 7001:8001(1000) ack 1
            > . 1:1(0) ack 1 <sack 7001:8001 3001:4001 5001:6001 1001:2001>
            < . 9001:9101(100) ack 1
            > . 1:1(0) ack 1 <sack 9001:9101 7001:8001 3001:4001 5001:6001>
            """)
    }

    /// RFC 2018 section 4: a block is all that is contiguous.
    @Test func neighboursAreOneBlock() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:2001>
            < . 3001:4001(1000) ack 1
            > . 1:1(0) ack 1 <sack 3001:4001 1001:2001>
            < . 2001:3001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:4001>
            """)
    }

    @Test func aBlockGrowsAndMovesToTheFront() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            < . 4001:5001(1000) ack 1
            skip
            < . 2001:3001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:3001 4001:5001>
            """)
    }

    @Test func aPartlyFilledGapLeavesTheRestReported() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            < . 3001:4001(1000) ack 1
            skip
            < . 1:1001(1000) ack 1
            > . 1:1(0) ack 2001 <sack 3001:4001>
            < . 2001:3001(1000) ack 1
            > . 1:1(0) ack 4001 <!sack>
            """)
    }

    /// RFC 7323 section 3.2, RFC 2018 section 3: three have room beside timestamps.
    @Test func besideTimestampsThereAreThreeBlocks() {
        play(
            """
            established timestamps
            < . 1001:2001(1000) ack 1
            < . 3001:4001(1000) ack 1
            < . 5001:6001(1000) ack 1
            skip
            < . 7001:8001(1000) ack 1
            > . 1:1(0) ack 1 <TS,sack 7001:8001 5001:6001 3001:4001>
            """)
    }

    /// RFC 2018 section 2
    @Test func withoutPermissionNothingIsReported() {
        play(
            """
            established no sack
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1 <!sack>
            """)
    }

    /// RFC 2018 section 4: data carry the report as well, and leave room for it.
    @Test func dataCarryTheReportToo() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            > . 1:1(0) ack 1 <sack 1001:2001>
            write 1000
            > . 1:989(988) ack 1 <sack 1001:2001>
            > P. 989:1001(12) ack 1
            """)
    }

    /// RFC 2883 section 4.1: what comes twice is reported first.
    @Test func aDuplicateIsReported() {
        play(
            """
            established
            < . 1:1001(1000) ack 1
            +0~+0.04 > . 1:1(0) ack 1001
            < . 1:1001(1000) ack 1
            > . 1:1(0) ack 1001 <sack 1:1001>
            """)
    }

    /// RFC 2883 section 4.1.1: and only once.
    @Test func aDuplicateIsReportedOnce() {
        play(
            """
            established
            < . 1:1001(1000) ack 1
            +0.1 skip
            < . 1:1001(1000) ack 1
            > . 1:1(0) ack 1001 <sack 1:1001>
            < . 1001:2001(1000) ack 1
            +0~+0.04 > . 1:1(0) ack 2001 <!sack>
            """)
    }

    /// RFC 2883 section 4.1.2: a duplicate beyond a gap, with the block it lies in.
    @Test func aDuplicateOutOfOrderIsReportedWithItsBlock() {
        play(
            """
            established
            < . 1001:2001(1000) ack 1
            < . 2001:3001(1000) ack 1
            skip
            < . 2001:3001(1000) ack 1
            > . 1:1(0) ack 1 <sack 2001:3001 1001:3001>
            """)
    }

    /// RFC 2883 section 4.2: what is a duplicate in part.
    @Test func aPartialDuplicateIsReported() {
        play(
            """
            established
            < . 1:1001(1000) ack 1
            +0.1 skip
            < . 501:1501(1000) ack 1
            +0~+0.04 > . 1:1(0) ack 1501 <sack 501:1001>
            """)
    }

    // MARK: As sender

    /// RFC 6675 section 5: three segments beyond are a loss.
    @Test func threeSegmentsBeyondSendTheFirstAgain() {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 1 <sack 1001:2001>
            < . ack 1 <sack 1001:3001>
            expect nothing
            < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            """)
    }

    /// RFC 6675 section 4: it is the scoreboard that counts, not the number of ACKs: a stretch ACK says the same.
    @Test func oneReportOfThreeSegmentsIsEnough() {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            """)
    }

    /// RFC 6675 section 5.1: only what is missing.
    @Test func onlyTheGapsAreSentAgain() {
        play(
            """
            established
            write 10000
            > data 1:10001
            +0.1 < . ack 1 <sack 1001:4001>
            > . 1:1001(1000)
            < . ack 1 <sack 5001:8001 1001:4001>
            > . 4001:5001(1000)
            +0.1 < . ack 4001 <sack 5001:10001>
            +0.01 < . ack 10001
            expect nothing for 1
            expect no timer
            """)
    }

    /// A gap may begin and end within what was one segment.
    @Test func aGapNeedNotFitTheSegments() {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 301 <sack 701:5001>
            > . 301:701(400)
            +0.1 < . ack 5001
            expect no timer
            """)
    }

    /// RFC 2018 section 2: reports that were not agreed upon mean nothing.
    @Test func reportsWithoutPermissionAreIgnored() {
        play(
            """
            established no sack
            write 5000
            > data 1:5001
            +0.1 < . ack 1 <sack 1001:5001>
            expect nothing for 0.05
            """)
    }

    /// No report may do harm: of what was not sent, is acknowledged, empty, or the wrong way round.
    @Test(arguments: ["9001:10001", "-5000:-4000", "5001:5001", "1:1", "5001:900000", "-100000:5001", "0:1"])
    func impossibleReportsAreIgnored(_ block: String) {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 1 <sack \(block)>
            < . ack 1 <sack \(block)>
            < . ack 1 <sack \(block)>
            expect nothing for 0.05
            < . ack 5001
            expect no timer
            write 1000
            > . 5001:6001(1000)
            """)
    }

    /// RFC 2883 section 5: a duplicate report says nothing of losses.
    @Test func duplicateReportsAreNoLosses() {
        play(
            """
            established
            write 5000
            > data 1:5001
            +0.1 < . ack 2001
            < . ack 2001 <sack 1:1001>
            < . ack 2001 <sack 1:1001>
            < . ack 2001 <sack 1001:2001>
            expect nothing for 0.05
            """)
    }

    /// RFC 2018 section 8: after a time-out the peer is not taken at its word (MUST): it may have dropped what it reported.
    @Test func aPeerMayTakeItsReportBack() {
        play(
            """
            established
            write 3000
            > data 1:3001
            +0.1 < . ack 1 <sack 2001:3001>
            +0.3 skip
            < . ack 2001
            +0~+1 > . 2001:3001(1000)
            """)
    }

    /// RFC 2018 section 8: what is reported stays in the send buffer until it is acknowledged.
    @Test func whatIsReportedIsNotFreed() {
        play(
            """
            send buffer 5000
            established
            write 5000
            > data 1:5001
            +0.01 < . ack 1 <sack 1001:5001>
            skip
            expect room 0
            """)
    }
}
