// The handshakes that scripts begin with, so that a case is about what comes after.
//
// `established` alone: opened actively at 0, the SYN-ACK after 100 ms (so SRTT is 100 ms, RTO 300 ms); segments of 1000 bytes,
// SACK, window scale 7 and a window of 8 MiB on the peer's side; no timestamps. Words change it:
//
//     passive             the peer opens
//     no sack | no scale | timestamps | ecn
//     win N               the peer's window, in its SYN and after (0…65535, times 128 after the SYN unless `no scale`)
//     mss N               what the peer announces

enum ScriptPrelude {
    static func lines(_ words: [Substring]) throws(ScriptParser.Fault) -> [String] {
        var isPassive = false
        var hasSACK = true
        var hasScale = true
        var hasTimestamps = false
        var hasECN = false
        var window = 65535
        var maximumSegmentSize: Int?
        var words = ArraySlice(words)
        while let word = words.popFirst() {
            switch word {
            case "passive": isPassive = true
            case "timestamps": hasTimestamps = true
            case "ecn": hasECN = true
            case "no" where words.first == "sack": (hasSACK, _) = (false, words.popFirst())
            case "no" where words.first == "scale": (hasScale, _) = (false, words.popFirst())
            case "win": window = try ScriptParser.integer(words.popFirst(), "win")
            case "mss": maximumSegmentSize = try ScriptParser.integer(words.popFirst(), "mss")
            default: throw .init("no prelude has \(word)")
            }
        }
        // Timestamps take 12 bytes of each segment (RFC 6691): so data come in thousands all the same.
        var options = ["mss \(maximumSegmentSize ?? (hasTimestamps ? 1012 : 1000))"]
        if hasSACK { options.append("sackOK") }
        if hasTimestamps { options.append("TS val 0 \(isPassive ? "ecr 0" : "ecr $syn")") }
        if hasScale { options.append("wscale 7") }
        let list = "<" + options.joined(separator: ",") + ">"
        let timestamp = hasTimestamps ? "<TS val $syn>" : ""
        if isPassive {
            return [
                "accept", "< S\(hasECN ? "EW" : "") 0:0(0) win \(window) \(list)",
                "> S.\(hasECN ? "E" : "") 0:0(0) ack 1 \(timestamp)",
                "+0.100 < . 1:1(0) ack 1 win \(window)", "expect event opened", "expect state established",
            ]
        }
        return [
            hasECN ? "ecn" : "expect nothing", "connect", "> S\(hasECN ? "EW" : "") 0:0(0) \(timestamp)",
            "+0.100 < S.\(hasECN ? "E" : "") 0:0(0) ack 1 win \(window) \(list)", "> . 1:1(0) ack 1",
            // The window of a SYN is not scaled: this one is.
            hasScale ? "< . 1:1(0) ack 1" : "expect nothing", "expect event opened", "expect state established",
        ]
    }
}
