// When data are acknowledged (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2).

import Testing

struct DelayedAcknowledgmentTests {
    /// SHLD-18, MUST-40: within half a second.
    @Test(arguments: [("40ms", "0.04"), ("200ms", "0.2"), ("10ms", "0.01")])
    func aSingleSegmentIsAcknowledgedAfterTheDelay(_ delay: String, _ seconds: String) {
        play(
            """
            delay \(delay)
            established
            < P. 1:101(100) ack 1
            +\(seconds) > . 1:1(0) ack 101
            expect nothing for 1.0
            """)
    }

    /// SHLD-19
    @Test func everySecondFullSegmentIsAcknowledgedAtOnce() {
        play(
            """
            established
            < . 1:1461(1460) ack 1
            expect nothing
            +0.001 < . 1461:2921(1460) ack 1
            > . 1:1(0) ack 2921
            +0.001 < . 2921:4381(1460) ack 1
            expect nothing
            +0.001 < . 4381:5841(1460) ack 1
            > . 1:1(0) ack 5841
            expect nothing for 1.0
            """)
    }

    /// What is of full size is measured anew where a path takes less than before.
    @Test func shorterSegmentsAreAcknowledgedAsOften() {
        play(
            """
            established
            < . 1:1461(1460) ack 1
            < . 1461:2921(1460) ack 1
            > . 1:1(0) ack 2921
            < . 2921:3421(500) ack 1
            < . 3421:3921(500) ack 1
            > . 1:1(0) ack 3921
            < . 3921:4421(500) ack 1
            expect nothing
            < . 4421:4921(500) ack 1
            > . 1:1(0) ack 4921
            """)
    }

    /// … but not by what ends a write.
    @Test func shortWritesAreNotOfFullSize() {
        play(
            """
            established
            < P. 1:501(500) ack 1
            < P. 501:1001(500) ack 1
            expect nothing
            +0.04 > . 1:1(0) ack 1001
            """)
    }

    @Test func joinedSegmentsAreAcknowledgedOnceAndAtOnce() {
        play(
            """
            established
            < . 1:5841(5840) ack 1 count 4
            > . 1:1(0) ack 5841
            expect nothing for 1.0
            """)
    }

    @Test func theDelayRunsFromTheFirstSegment() {
        play(
            """
            established
            < P. 1:101(100) ack 1
            +0.03 < P. 101:201(100) ack 1
            +0~+0.01 > . 1:1(0) ack 201
            expect nothing for 1.0
            """)
    }

    /// MUST-58: once said with data, it is said.
    @Test func dataEndTheDelay() {
        play(
            """
            established
            < . 1:1461(1460) ack 1
            write 100
            > P. 1:101(100) ack 1461
            < . 1461:2921(1460) ack 1
            expect nothing
            +0.04 > . 101:101(0) ack 2921
            """)
    }

    /// RFC 5681 section 4.2: whatever does not fit the order.
    @Test func aSegmentOutOfOrderIsAnsweredAtOnceEachTime() {
        play(
            """
            established
            < . 1001:1101(100) ack 1
            > . 1:1(0) ack 1
            < . 1101:1201(100) ack 1
            > . 1:1(0) ack 1
            < . 1201:1301(100) ack 1
            > . 1:1(0) ack 1
            """)
    }

    @Test func aSegmentThatFillsAPartOfAGapIsAcknowledgedAtOnce() {
        play(
            """
            established
            < . 1001:1101(100) ack 1
            > . 1:1(0) ack 1
            < . 1:101(100) ack 1
            > . 1:1(0) ack 101
            """)
    }

    /// RFC 9293 section 3.10.7.4, first check: the peer did not get the acknowledgment.
    @Test func aDuplicateIsAcknowledgedAtOnce() {
        play(
            """
            established
            < P. 1:101(100) ack 1
            +0.04 > . 1:1(0) ack 101
            < P. 1:101(100) ack 1
            > . 1:1(0) ack 101
            """)
    }

    @Test func aFINIsAcknowledgedOnce() {
        play(
            """
            established
            < FP. 1:101(100) ack 1
            +0~+0.04 > . 1:1(0) ack 102
            expect nothing for 10
            """)
    }

    /// RFC 9293 section 3.4: an ACK without data is not acknowledged, or there would be no end.
    @Test func anACKIsNotAcknowledged() {
        play(
            """
            established
            < . ack 1
            < . ack 1
            < . ack 1 win 1000
            expect nothing for 10
            """)
    }

    @Test func theDelayIsOverWithTheConnection() {
        play(
            """
            established
            < P. 1:101(100) ack 1
            < R 101:101(0)
            expect closed reset
            expect nothing for 1
            expect no timer
            """)
    }
}
