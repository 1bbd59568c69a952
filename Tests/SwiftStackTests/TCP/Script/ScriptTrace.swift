// What has happened lately in a script: kept as it is, and put into words only where a failure needs them.

struct ScriptTrace {
    enum Entry {
        case done(String, time: Int64)
        case sent(SentSegment)
    }

    private static let length = 30
    private var entries: [Entry] = []

    mutating func note(_ entry: Entry) {
        if entries.count >= 10 * Self.length { entries.removeFirst(9 * Self.length) }
        entries.append(entry)
    }

    var lines: [String] {
        entries.suffix(Self.length).map { entry in
            switch entry {
            case .done(let text, let time): "\(Self.seconds(time))   \(text)"
            case .sent(let segment): "\(Self.seconds(segment.time)) > \(segment)"
            }
        }
    }

    static func seconds(_ time: Int64) -> String {
        let micro = String((time % 1_000_000_000) / 1000)
        return "\(time / 1_000_000_000)." + String(repeating: "0", count: max(0, 6 - micro.count)) + micro
    }
}
