// `vni-bench run`: everything, side by side.

import ArgumentParser
import BenchmarkReport
import FoundationEssentials

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures all subjects and workloads in turns, and reports medians, goals and charts.")

    @Option(help: "How often each is measured.") var rounds = 5
    @Option(help: "How long each is measured at a time.") var seconds = 1.0
    @Option(help: "The folder for results.md, results.json and the charts.") var output: String

    func run() throws {
        guard rounds > 0, seconds > 0 else { throw ValidationError("There is nothing to measure in no time.") }
        var harness = try Harness(seconds: seconds)
        for round in 1...rounds {
            harness.measure(Plan.cells, round: round, of: rounds)
            // After each round: a run that is interrupted is not lost.
            try write(harness.results, rounds: round)
        }
        print(MarkdownReport.goals(Goals.all, harness.results))
        print("More of it: \(output)/results.md")
    }

    private func write(_ results: Results, rounds: Int) throws {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        var files = [
            "results.md": MarkdownReport(results, machine: .current, rounds: rounds).description,
            "results.json": try JSONReport(results, machine: .current, rounds: rounds).text(),
        ]
        for chart in ThroughputChart.all { files[chart.file] = chart.chart(of: results).map { SVG($0).description } }
        for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(output)/\(name)")) }
    }
}
