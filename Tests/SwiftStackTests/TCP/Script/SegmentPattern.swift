// A segment as a script writes it: one to inject, or what is expected of one that is sent.
//
//     FLAGS [seq:end(length)] [len N] [ack N] [win N] [<options>] [word …]
//
// FLAGS are letters of S F R P . (ACK) U E (ECE) W (CWR), or `-` for none; `R?` may have ACK or not, `*` is any. What an expectation does not name is not compared; of
// the flags all are, but for PSH, which is only looked for where it is named (`nopush` denies it). What an injected segment
// leaves out is what a peer would say: its next sequence number, the acknowledgment and window it last sent, and its time.
//
// Options: `mss N`, `sackOK`, `wscale N`, `TS val V ecr E`, `sack L:R …`, `nop`; `!sackOK` says that there is none. A TS value is
// relative to the peer's clock, `zero`, or `$name` (the first time it is met it takes on the value), `$name+5` five more than
// that; `ecr` alone leaves `val` to the clock.
// Words: `ce` congestion experienced, `count N` segments joined, `other` other bytes than those expected there; `ect`, `noect`.

import NetstackCore

struct SegmentPattern {
    enum Timestamp: Equatable {
        case number(Int)
        case zero
        case name(String, plus: UInt32)
    }

    struct Options {
        var maximumSegmentSize: Int?
        var windowScale: Int?
        var selectiveAcknowledgmentPermitted = false
        var hasTimestamps = false
        var timestampValue: Timestamp?
        var timestampEcho: Timestamp?
        var sackBlocks: [Range<Int>] = []
        /// Names of options there must not be.
        var absent: Set<String> = []
    }

    var flags: TCPHeader.Flags
    var allowsAnyFlags = false
    var allowsAcknowledgment = false
    var sequence: Range<Int>?
    var length: ScriptBound?
    var acknowledgment: Int?
    var window: ScriptBound?
    var options = Options()
    var congestionExperienced = false
    var count = 1
    var hasOtherBytes = false
    var forbidsPush = false
    var isECNCapable: Bool?
}

extension SegmentPattern {
    /// Throws what is wrong, as a String in a ScriptParser.Fault.
    init(parsing words: [Substring]) throws(ScriptParser.Fault) {
        var words = ArraySlice(words)
        guard let letters = words.popFirst() else { throw .init("a segment needs flags") }
        flags = []
        allowsAnyFlags = letters == "*"
        allowsAcknowledgment = letters.contains("?")
        for letter in letters where !"-*?".contains(letter) {
            guard let flag = Self.flags[letter] else { throw .init("unknown flag \(letter)") }
            flags.insert(flag)
        }
        while let word = words.popFirst() {
            switch word {
            case "ack": acknowledgment = try ScriptParser.integer(words.popFirst(), "ack")
            case "win":
                guard let bound = words.popFirst().flatMap({ ScriptBound($0) }) else {
                    throw .init("win needs a number")
                }
                window = bound
            case "len":
                guard let bound = words.popFirst().flatMap({ ScriptBound($0) }) else {
                    throw .init("len needs a number")
                }
                length = bound
            case "count": count = try ScriptParser.integer(words.popFirst(), "count")
            case "ce": congestionExperienced = true
            case "other": hasOtherBytes = true
            case "nopush": forbidsPush = true
            case "ect": isECNCapable = true
            case "noect": isECNCapable = false
            case _ where word.hasPrefix("<"):
                var text = String(word)
                while !text.hasSuffix(">") {
                    guard let next = words.popFirst() else { throw .init("options end with >") }
                    text += " " + next
                }
                options = try Options(parsing: text.dropFirst().dropLast())
            case _ where word.contains("("): sequence = try Self.sequence(word)
            default: throw .init("unknown word \(word)")
            }
        }
    }

    private static let flags: [Character: TCPHeader.Flags] = [
        "S": .syn, "F": .fin, "R": .rst, "P": .psh, ".": .ack, "U": .urg, "E": .ece, "W": .cwr,
    ]

    static func text(of flags: TCPHeader.Flags) -> String {
        let text = String("SFRPUEW.".filter { letter in Self.flags[letter].map { flags.contains($0) } ?? false })
        return text.isEmpty ? "-" : text
    }

    /// `1:1001(1000)`
    private static func sequence(_ word: Substring) throws(ScriptParser.Fault) -> Range<Int> {
        let parts = word.split(whereSeparator: { ":()".contains($0) }).compactMap { Int($0) }
        guard parts.count == 3, parts[0] <= parts[1], parts[1] - parts[0] == parts[2] else {
            throw .init("\(word) is not start:end(length)")
        }
        return parts[0]..<parts[1]
    }
}

extension SegmentPattern.Options {
    init(parsing text: Substring) throws(ScriptParser.Fault) {
        for option in text.split(separator: ",") {
            var words = ArraySlice(option.split(separator: " "))
            switch words.popFirst() {
            case "nop": break
            case "mss": maximumSegmentSize = try ScriptParser.integer(words.popFirst(), "mss")
            case "wscale": windowScale = try ScriptParser.integer(words.popFirst(), "wscale")
            case "sackOK": selectiveAcknowledgmentPermitted = true
            case "TS":
                hasTimestamps = true
                while let word = words.popFirst() {
                    let value = try Self.timestamp(words.popFirst())
                    if word == "val" { timestampValue = value } else { timestampEcho = value }
                }
            case "sack":
                while let word = words.popFirst() {
                    let ends = word.split(separator: ":").compactMap { Int($0) }
                    guard ends.count == 2, ends[0] <= ends[1] else { throw .init("\(word) is not a SACK block") }
                    sackBlocks.append(ends[0]..<ends[1])
                }
            case .some(let word) where word.hasPrefix("!"): absent.insert(String(word.dropFirst()))
            case let word: throw .init("unknown option \(word ?? "")")
            }
        }
    }

    private static func timestamp(_ word: Substring?) throws(ScriptParser.Fault) -> SegmentPattern.Timestamp {
        guard let word else { throw .init("TS needs a value") }
        if word == "zero" { return .zero }
        if word.hasPrefix("$") {
            let parts = word.split(separator: "+", maxSplits: 1)
            let more = try parts.count > 1 ? ScriptParser.integer(parts[1], "TS") : 0
            return .name(String(parts[0]), plus: UInt32(clamping: more))
        }
        return .number(try ScriptParser.integer(word, "TS"))
    }
}
