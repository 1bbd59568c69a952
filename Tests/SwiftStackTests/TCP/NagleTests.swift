// Nagle's algorithm (RFC 9293 section 3.7.4), in Minshall's form: only a small segment holds up another small one.

import Testing

struct NagleTests {
    /// MUST-17, SHLD-7
    @Test func aSmallSegmentWaitsForTheOneBefore() {
        play(
            """
            nagle
            established
            write 100
            > P. 1:101(100)
            write 100
            write 100
            expect nothing for 0.09
            < . ack 101
            > P. 101:301(200)
            """)
    }

    @Test func wholeSegmentsDoNotWait() {
        play(
            """
            nagle
            established
            write 100
            > P. 1:101(100)
            write 1000
            > . 101:1101(1000)
            write 500
            expect nothing for 0.05
            < . ack 101
            > P. 1101:1601(500)
            """)
    }

    @Test func whatFillsASegmentEndsTheWait() {
        play(
            """
            nagle
            established
            write 100
            > P. 1:101(100)
            write 600
            expect nothing
            write 600
            > . 101:1101(1000)
            expect nothing for 0.05
            < . ack 1101
            > P. 1101:1301(200)
            """)
    }

    @Test func withNothingInFlightNothingWaits() {
        play(
            """
            nagle
            established
            write 100
            > P. 1:101(100)
            +0.1 < . ack 101
            write 100
            > P. 101:201(100)
            """)
    }

    /// Minshall's form: the small end of a large write goes along.
    @Test func theEndOfALargeWriteDoesNotWait() {
        play(
            """
            nagle
            established
            write 2500
            > . 1:1001(1000)
            > . 1001:2001(1000)
            > P. 2001:2501(500)
            """)
    }

    /// RFC 9293 section 3.7.4: the end of the stream is no reason to wait.
    @Test func aFINDoesNotWait() {
        play(
            """
            nagle
            established
            write 100
            > P. 1:101(100)
            write 100
            expect nothing
            shutdown
            > FP. 101:201(100)
            """)
    }

    /// MUST-17: it can be switched off, and is.
    @Test func switchedOffNothingWaits() {
        play(
            """
            established
            write 100
            > P. 1:101(100)
            write 100
            > P. 101:201(100)
            """)
    }

    /// A user that says that more will come is taken at its word, for a while.
    @Test func whatIsAnnouncedToGoOnIsWaitedFor() {
        play(
            """
            established
            write 300 more
            expect nothing
            write 200
            > P. 1:501(500)
            """)
    }

    @Test func anAnnouncementDoesNotHoldUpWholeSegments() {
        play(
            """
            established
            write 2300 more
            > . 1:1001(1000)
            > . 1001:2001(1000)
            expect nothing
            write 200
            > P. 2001:2501(500)
            """)
    }

    /// MUST-60: what is announced and does not come is not waited for for ever.
    @Test func anAnnouncementIsNotBelievedForEver() {
        play(
            """
            established
            write 300 more
            expect nothing
            +0.1~+1.0 > . 1:301(300)
            skip
            """)
    }

    @Test func aCloseEndsTheAnnouncement() {
        play(
            """
            established
            write 300 more
            expect nothing
            close
            > FP. 1:301(300)
            """)
    }
}
