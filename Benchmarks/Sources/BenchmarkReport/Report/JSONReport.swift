// The report of a run, for programs.

import FoundationEssentials

package struct JSONReport: Encodable {
    private struct Entry: Encodable {
        var cell: Cell
        /// All values of each metric, in the order of rounds.
        var values: [Metric: [Double]]?
        var remark: String?
    }

    private struct Goal: Encodable {
        var comparison: Comparison
        var value: Double?
        var reached: Bool?
        var remark: String?
    }

    private let machine: Machine
    private let rounds: Int
    private let cells: [Entry]
    private let goals: [Goal]

    package init(_ results: Results, machine: Machine, rounds: Int) {
        self.machine = machine
        self.rounds = rounds
        cells = Plan.cells.map { cell in
            let values = cell.workload.metrics.map { ($0, results.values(cell, $0)) }.filter { !$0.1.isEmpty }
            return Entry(
                cell: cell, values: values.isEmpty ? nil : Dictionary(uniqueKeysWithValues: values),
                remark: results.remarks[cell].map { "\($0)" })
        }
        goals = Goals.all.map { comparison in
            let outcome = comparison.evaluate(results)
            return switch outcome {
            case .kept, .broken: Goal(comparison: comparison, value: outcome.value, reached: !outcome.isFailure)
            case .failed(let why): Goal(comparison: comparison, reached: false, remark: why)
            case .skipped(let why): Goal(comparison: comparison, remark: why)
            }
        }
    }

    package func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
