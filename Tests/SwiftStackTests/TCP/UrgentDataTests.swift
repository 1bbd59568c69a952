// Urgent data (RFC 9293 section 3.8.5, RFC 6093): they are data.

import Testing

struct UrgentDataTests {
    /// RFC 6093 section 4 and 6: they stay where they are in the stream (MUST-30 of RFC 9293 as RFC 6093 understands it).
    @Test func urgentDataStayInTheStream() {
        play(
            """
            established
            < PU. 1:101(100) ack 1 urg 50
            < P. 101:201(100) ack 1
            +0.1 skip
            read all gives 200
            """)
    }

    /// MUST-31: of any length; a pointer may lead anywhere.
    @Test(arguments: [0, 1, 100, 65535])
    func anUrgentPointerMayLeadAnywhere(_ pointer: Int) {
        play(
            """
            established
            < U. 1:101(100) ack 1 urg \(pointer)
            +0~+0.04 > . ack 101
            read all gives 100
            """)
    }

    @Test func anUrgentPointerWithoutDataSaysNothing() {
        play("established\n< U. ack 1 urg 1000\nexpect nothing for 10\nexpect no event canRead")
    }

    @Test func aPointerWithoutTheFlagSaysNothing() {
        play("established\n< P. 1:101(100) ack 1 urg 7\n+0~+0.04 > . ack 101\nread all gives 100")
    }
}
