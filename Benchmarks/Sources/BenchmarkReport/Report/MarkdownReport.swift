// The report of a run, for people.

package struct MarkdownReport: CustomStringConvertible {
    private let results: Results
    private let machine: Machine
    private let rounds: Int

    package init(_ results: Results, machine: Machine, rounds: Int) {
        self.results = results
        self.machine = machine
        self.rounds = rounds
    }

    package var description: String {
        let charts = ThroughputChart.all.filter { $0.chart(of: results) != nil }
        return """
            # Results

            \(machine). Medians of \(rounds) round\(rounds == 1 ? "" : "s"), with the smallest and the largest in brackets. \
            Figures of different machines, or of different runs, do not compare; ratios within a run do.

            ## Goals

            \(Self.goals(Goals.all, results))
            \(charts.map { "![\($0.title)](\($0.file))\n" }.joined(separator: "\n"))
            \(Plan.sections.map(text).joined(separator: "\n"))
            \(subjects)
            """
    }

    /// A table of comparisons and what came of them.
    package static func goals(_ comparisons: [Comparison], _ results: Results) -> String {
        var table = Table(["goal", "is to be", "is", "reached"])
        for comparison in comparisons {
            let outcome = comparison.evaluate(results)
            let figure = (outcome.value?.figure ?? "–") + (comparison.denominator == nil ? "" : " ×")
            switch outcome {
            case .kept: table.add([comparison.name, "\(comparison.bound)", figure, "yes"])
            case .broken: table.add([comparison.name, "\(comparison.bound)", figure, "**no**"])
            case .failed(let why): table.add([comparison.name, "\(comparison.bound)", "–", "**no**: \(why)"])
            case .skipped(let why): table.add([comparison.name, "\(comparison.bound)", "–", why])
            }
        }
        return table.description
    }

    private func text(_ section: Section) -> String {
        var text = "## \(section.title)\n"
        for metric in section.workload.metrics {
            guard section.cells.contains(where: { results.summary($0, metric) != nil }) else { continue }
            text += "\n\(metric.title.prefix(1).uppercased() + metric.title.dropFirst()):\n\n\(table(section, metric))"
        }
        let remarks = section.cells.compactMap { cell in results.remarks[cell].map { "- \(cell): \($0)\n" } }
        return remarks.isEmpty ? text : text + "\n" + remarks.joined()
    }

    private func table(_ section: Section, _ metric: Metric) -> Table {
        var table = Table([""] + section.values.map(section.parameter.label))
        for row in section.rows {
            let name = row.subject.rawValue + (section.directions.count > 1 ? ", \(row.direction.rawValue)" : "")
            let cells = section.values.map { row.with(section.parameter, $0) }
            guard cells.contains(where: { results.summary($0, metric) != nil }) else { continue }
            table.add([name] + cells.map { results.summary($0, metric)?.text ?? "–" })
        }
        return table
    }

    private var subjects: String {
        "## Subjects\n\n" + Subject.allCases.map { "- `\($0.rawValue)`: \($0.title)\n" }.joined()
    }
}

extension Summary {
    fileprivate var text: String {
        minimum == maximum ? median.figure : "\(median.figure) (\(minimum.figure)–\(maximum.figure))"
    }
}
