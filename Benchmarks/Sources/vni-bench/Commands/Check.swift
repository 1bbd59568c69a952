// `vni-bench check`: what continuous integration runs.

import ArgumentParser
import BenchmarkReport

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures what the thresholds take, briefly, and fails if one of them is not kept.")

    private static let rounds = 3
    private static let seconds = 0.4

    func run() throws {
        let thresholds = try Thresholds.read(Programs.packageFolder + "/thresholds.json")
        var seen: Set<Cell> = []
        let cells = thresholds.flatMap(\.cells).filter { seen.insert($0).inserted }
        var harness = try Harness(seconds: Self.seconds)
        for round in 1...Self.rounds { harness.measure(cells, round: round, of: Self.rounds) }
        print(MarkdownReport.goals(thresholds, harness.results))
        if thresholds.contains(where: { $0.evaluate(harness.results).isFailure }) { throw ExitCode.failure }
    }
}
