// How a test plays a script.

import Testing

/// Plays `text` (see `Script`) with all places where sequence numbers can begin, and records the first failure.
func play(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    do throws(ScriptFailure) {
        let script = try ScriptParser.parse(text)
        for starts in SequenceStarts.all {
            var runner = ScriptRunner(starts: starts)
            try runner.run(script)
        }
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}
