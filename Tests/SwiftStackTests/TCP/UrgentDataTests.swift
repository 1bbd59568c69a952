// Urgent data (RFC 9293 section 3.8.5, RFC 6093): they are data.

import Testing

struct UrgentDataTests {
    /// RFC 6093 section 4 and 6: they stay where they are in the stream (MUST-30 of RFC 9293 as RFC 6093 understands it).
    @Test func urgentDataStayInTheStream() {
        play(
            """
            established
            < PU. 1:101(100) ack 1
            < P. 101:201(100) ack 1
            +0.1 skip
            read all gives 200
            """)
    }

    /// MUST-31: of any length. The machine does not see where the pointer leads.
    @Test func urgentDataAreAcknowledgedAsOthers() {
        play(
            """
            established
            < U. 1:101(100) ack 1
            +0~+0.04 > . ack 101
            read all gives 100
            """)
    }

    @Test func urgencyWithoutDataSaysNothing() {
        play("established\n< U. ack 1\nexpect nothing for 10\nexpect no event canRead")
    }
}
