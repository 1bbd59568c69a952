// Reads the text of a script (see `Script`): pure, and every fault has its line.

enum ScriptParser {
    /// What is wrong with a line.
    struct Fault: Error {
        var reason: String
        init(_ reason: String) { self.reason = reason }
    }

    static func parse(_ text: String) throws(ScriptFailure) -> Script {
        var lines: [ScriptLine] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard !words.isEmpty else { continue }
            do throws(Fault) {
                lines += try parse(words).map {
                    ScriptLine(number: index + 1, text: words.joined(separator: " "), time: $0.time, action: $0.action)
                }
            } catch {
                throw ScriptFailure(line: index + 1, text: words.joined(separator: " "), reason: error.reason)
            }
        }
        return Script(lines: lines)
    }

    private static func parse(_ words: [Substring]) throws(Fault) -> [(time: ScriptTime, action: ScriptAction)] {
        var words = ArraySlice(words)
        var time = ScriptTime.now
        if let first = words.first, let given = try Self.time(first) {
            time = given
            words.removeFirst()
        }
        guard let verb = words.popFirst() else { throw Fault("a line needs an action") }
        let rest = Array(words)
        if verb == "established" {
            var lines: [(ScriptTime, ScriptAction)] = []
            for line in try ScriptPrelude.lines(rest) { lines += try parse(line.split(separator: " ")) }
            return lines
        }
        return [(time, try action(verb, rest))]
    }

    private static func action(_ verb: Substring, _ words: [Substring]) throws(Fault) -> ScriptAction {
        switch verb {
        case "<": return .inject(try SegmentPattern(parsing: words))
        case ">" where words.first == "data": return try data(words.dropFirst())
        case ">": return .expectSegment(try SegmentPattern(parsing: words))
        case "connect": return .connect
        case "accept": return .accept
        case "write":
            return .write(
                count: try integer(words.first, "write"), more: words.contains("more"), takes: try value("takes", words)
            )
        case "read":
            let limit = words.first == "all" ? Int.max : try integer(words.first, "read")
            return .read(limit: limit, gives: try value("gives", words))
        case "shutdown": return .shutdown
        case "close": return .close
        case "abort": return .abort
        case "keepalives": return .keepsAlive(words.first == "on")
        case "pathmtu": return .pathTakes(try integer(words.first, "pathmtu"))
        case "link":
            switch words.first {
            case "full": return .link(0)
            case "open": return .link(nil)
            default: return .link(try integer(words.dropFirst().first, "link takes"))
            }
        case "bulk":
            guard words.count >= 3, words[1] == "rtt", let duration = nanoseconds(words[0]),
                let roundTrip = nanoseconds(words[2])
            else { throw Fault("bulk needs a duration and rtt") }
            return .bulk(duration: duration, roundTrip: roundTrip, losses: try value("loses", words) ?? 0)
        case "measure": return .measureFlight
        case "skip": return .skip
        case "expect": return .expect(try expectation(words))
        default:
            guard ScriptConfiguration.words.contains(String(verb)) else { throw Fault("unknown action \(verb)") }
            return .configure([verb] + words)
        }
    }

    /// `1:10001 in 10`
    private static func data(_ words: ArraySlice<Substring>) throws(Fault) -> ScriptAction {
        let ends = (words.first ?? "").split(separator: ":").compactMap { Int($0) }
        guard ends.count == 2, ends[0] < ends[1] else { throw Fault("data needs start:end") }
        return .expectData(start: ends[0], end: ends[1], segments: try value("in", Array(words)))
    }

    private static func expectation(_ words: [Substring]) throws(Fault) -> ScriptExpectation {
        let last = words.last ?? ""
        switch words.first {
        case "nothing":
            guard words.count == 3 else { return .nothing(.now) }
            guard let time = nanoseconds(last) else { throw Fault("nothing needs a time") }
            return .nothing(words[1] == "for" ? .after(time) : .at(time))
        case "state": return .state(String(last))
        case "event": return .event(String(last), true)
        case "closed": return .closed(String(last))
        case "readable": return .readable(try integer(last, "readable"))
        case "finished": return .finished(true)
        case "dropped": return .dropped(String(last))
        case "room": return .room(try bound(last))
        case "flight" where last == "%":
            return .measuredFlight(try bound(words.dropFirst().first ?? ""))
        case "flight": return .flight(try bound(last))
        case "sent": return .sent(try bound(last))
        case "in": return .inFlight(try integer(last, "in flight"), true)
        case "not": return .inFlight(try integer(last, "not in flight"), false)
        case "no":
            switch words.dropFirst().first {
            case "event": return .event(String(last), false)
            case "finished": return .finished(false)
            case "timer": return .noTimer
            default: throw Fault("unknown expectation")
            }
        default: throw Fault("unknown expectation")
        }
    }

    private static func bound(_ word: Substring) throws(Fault) -> ScriptBound {
        guard let bound = ScriptBound(word) else { throw Fault("\(word) is not a number to compare with") }
        return bound
    }

    static func integer(_ word: Substring?, _ what: String) throws(Fault) -> Int {
        guard let word, let value = Int(word) else { throw Fault("\(what) needs a number") }
        return value
    }

    /// The number behind the word `name`, if there is that word.
    private static func value(_ name: Substring, _ words: [Substring]) throws(Fault) -> Int? {
        guard let index = words.firstIndex(of: name) else { return nil }
        return try integer(words.dropFirst(index + 1).first, String(name))
    }
}

// MARK: - Times

extension ScriptParser {
    /// The time that `word` is; nil if it is something else.
    private static func time(_ word: Substring) throws(Fault) -> ScriptTime? {
        guard let first = word.first, first.isNumber || first == "+" || first == "*" else { return nil }
        if word == "*" { return .any }
        let isRelative = first == "+"
        let ends = word.split(separator: "~").map { nanoseconds($0.drop { $0 == "+" }) }
        switch (ends.count, ends.first ?? nil, ends.last ?? nil) {
        case (1, let time?, _): return isRelative ? .after(time) : .at(time)
        case (2, let low?, let high?) where low <= high:
            return isRelative ? .afterBetween(low, high) : .between(low, high)
        default: throw Fault("\(word) is not a time")
        }
    }

    /// Seconds, or with a unit: `1.5`, `200ms`, `5s`, `2min`, `2h`.
    static func nanoseconds(_ word: some StringProtocol) -> Int64? {
        for (unit, factor) in [("ms", 1e6), ("us", 1e3), ("min", 60e9), ("h", 3600e9), ("s", 1e9), ("", 1e9)]
        where word.hasSuffix(unit) {
            return Double(word.dropLast(unit.count)).map { Int64(($0 * factor).rounded()) }
        }
        return nil
    }
}
