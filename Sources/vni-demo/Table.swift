// What the demo prints: a bar while bytes move, and the steps when all have ended.

import Glibc

/// The steps of a run, each with its outcome and how long it took.
struct Table {
    private var rows: [(step: String, outcome: String, time: Duration)] = []
    private(set) var succeeded = true

    /// Runs a step. One that throws has failed, and the others go on.
    mutating func add(_ step: String, _ body: () async throws -> String) async {
        let clock = ContinuousClock()
        let start = clock.now
        let outcome: String
        do {
            outcome = "✓ " + (try await body())
        } catch {
            outcome = "✗ \(error)"
            succeeded = false
        }
        rows.append((step, outcome, clock.now - start))
    }

    func print() {
        let width = rows.map(\.step.count).max() ?? 0
        let outcomes = rows.map(\.outcome.count).max() ?? 0
        for row in rows {
            let step = row.step + String(repeating: " ", count: width - row.step.count)
            let outcome = row.outcome + String(repeating: " ", count: outcomes - row.outcome.count)
            let milliseconds =
                Double(row.time.components.attoseconds) / 1e15 + Double(row.time.components.seconds) * 1e3
            Swift.print("\(step)  \(outcome)  \(milliseconds.rounded(toPlaces: 1)) ms")
        }
    }
}

/// A bar on standard error, where that is a terminal.
struct Progress {
    private let total: Int?
    private let start = ContinuousClock.now
    private let isShown = isatty(STDERR_FILENO) == 1
    private var shownAt = 0
    private(set) var count = 0

    init(total: Int?) { self.total = total }

    mutating func advance(_ bytes: Int) {
        count += bytes
        guard isShown, let total, total > 0, count - shownAt > total / 50 || count == total else { return }
        shownAt = count
        let done = min(40, count * 40 / total)
        let bar = String(repeating: "█", count: done) + String(repeating: "░", count: 40 - done)
        Self.show("\r\(bar) \(count >> 20) of \(total >> 20) MiB")
    }

    private static func show(_ text: String) {
        var text = text
        text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// Clears the bar.
    ///
    /// - Returns: the rate, in words.
    func finish() -> String {
        if isShown { Self.show("\r\u{1B}[K") }
        let elapsed = start.duration(to: .now)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        guard seconds > 0 else { return "at once" }
        let gigabits = Double(count) * 8 / seconds / 1e9
        return gigabits >= 0.1
            ? "\(gigabits.rounded(toPlaces: 2)) Gbit/s" : "\((gigabits * 1e3).rounded(toPlaces: 2)) Mbit/s"
    }
}

extension Double {
    fileprivate func rounded(toPlaces places: Int) -> Double {
        let factor = pow(10, Double(places))
        return (self * factor).rounded() / factor
    }
}
