// That scripts fail where they should: a test suite that believes everything proves nothing.

import Testing

struct ScriptTests {
    /// What playing `text` fails with; nil if it does not.
    private func failure(_ text: String) -> ScriptFailure? {
        do throws(ScriptFailure) {
            let script = try ScriptParser.parse(text)
            var runner = ScriptRunner(starts: .ordinary)
            try runner.run(script)
            return nil
        } catch {
            return error
        }
    }

    @Test func aRightScriptPasses() {
        #expect(
            failure("established\nwrite 1000\n> P. 1:1001(1000) ack 1\n+0.1 < . ack 1001\nexpect nothing")?.description
                == nil)
    }

    @Test(arguments: [
        ("wrong sequence number", "> P. 2:1002(1000) ack 1"), ("wrong length", "> P. 1:1000(999) ack 1"),
        ("wrong acknowledgment", "> P. 1:1001(1000) ack 2"), ("wrong flags", "> F. 1:1001(1000) ack 1"),
        ("a flag too few", "> - 1:1001(1000)"), ("PSH denied", "> . 1:1001(1000) nopush"),
        ("wrong window", "> . 1:1001(1000) win 1"), ("window out of bounds", "> . 1:1001(1000) win >=65535"),
        ("too early", "+0.050 > . 1:1001(1000)"), ("too late", "0.050 > . 1:1001(1000)"),
        ("before a range", "+0.050~+0.060 > . 1:1001(1000)"), ("an option that is not there", "> . 1:1001(1000) <TS>"),
        ("a block that is not there", "> . 1:1001(1000) <sack 1:2>"), ("ECT", "> . 1:1001(1000) ect"),
        ("data in fewer segments", "> data 1:1001 in 2"), ("data that end within a segment", "> data 1:501"),
        ("nothing", "expect nothing"), ("no flight", "expect flight 0"),
    ])
    func aWrongExpectationFails(_ what: String, _ line: String) {
        let failure = failure("established\nwrite 1000\n\(line)")
        #expect(failure?.line == 3, "\(what)")
        #expect(failure?.trace.contains { $0.contains("1:1001(1000)") } == true, "\(what)")
    }

    @Test func aMissingSegmentFails() {
        #expect(failure("established\n+0.1 > . 1:1(0)")?.reason.contains("nothing was sent") == true)
    }

    @Test func aSurplusSegmentFailsAtTheEnd() {
        #expect(failure("established\nwrite 1000")?.reason.contains("no line expects") == true)
    }

    @Test func aSurplusSegmentFailsBeforeTheNextAction() {
        #expect(failure("established\nwrite 1000\n+0.1 < . ack 1001\nexpect state established")?.line == 3)
    }

    @Test func aSegmentDuringSilenceFails() {
        #expect(failure("established\nwrite 1000\n> . 1:1001(1000)\nexpect nothing for 5.0")?.line == 4)
    }

    @Test(arguments: [
        "expect state closed", "expect event canRead", "expect closed none", "expect readable 1", "expect finished",
        "expect in flight 1", "write 100 takes 99", "expect event nonsense", "expect room 0",
    ])
    func aWrongStateFails(_ line: String) {
        #expect(failure("established\n\(line)")?.line == 2)
    }

    @Test(arguments: [
        "now connect", "> Q 0:0(0)", "< . 1:3(1)", "< . 3:1(0)", "> . ack", "> . <mss>", "> . <mss 1",
        "> . <strange 1>",
        "0.1~0.05 > .", "expect", "expect strange", "write", "read x", "bulk 1.0", "established strange", "+x > .",
        "link 2x",
    ])
    func whatCannotBeReadFailsWithItsLine(_ line: String) {
        #expect(failure("connect\n# a comment\n\n\(line)")?.line == 4)
    }

    @Test func timeDoesNotRunBackwards() {
        #expect(failure("established\n0.050 write 1")?.reason == failure("established\n0.050 write 2")?.reason)
        #expect(failure("established\n0.050 write 1")?.reason.contains("backwards") == true)
    }
}
