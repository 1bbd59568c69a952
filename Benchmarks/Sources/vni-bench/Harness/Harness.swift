// Measures cells, each in a process of its own, and collects what they yield.

import BenchmarkReport
import BenchmarkSubjects
import Glibc

struct Harness {
    /// Beyond what is measured: for opening what there is to open.
    private static let patience = 120.0

    private(set) var results = Results()
    private let seconds: Double
    /// The kernel's server. It runs here, where nothing else does meanwhile.
    private let server: String

    init(seconds: Double) throws {
        raiseDescriptorLimit()
        self.seconds = seconds
        server = try KernelServer.start()
    }

    /// Measures each cell once more; but not those that can't be, or have failed.
    mutating func measure(_ cells: [Cell], round: Int, of rounds: Int) {
        for (index, cell) in cells.enumerated() where results.remarks[cell] == nil {
            let place = "round \(round)/\(rounds), \(index + 1)/\(cells.count)"
            measure(cell)
            let outcome =
                results.remarks[cell].map { "\($0)" }
                ?? cell.workload.metrics.compactMap { metric in
                    results.values(cell, metric).last.map { "\(metric.rawValue) \($0.figure)" }
                }.joined(separator: ", ")
            show("\(place)  \(cell): \(outcome)")
        }
    }

    private mutating func measure(_ cell: Cell) {
        guard let command = Programs.command(cell.subject.program) else {
            return results.remark(.skipped("\(cell.subject.program.rawValue) is not built"), on: cell)
        }
        let arguments = command.dropFirst() + cell.arguments(seconds: seconds) + ["--server", server]
        do {
            let limit = 2 * cell.duration(atLeast: seconds) + Self.patience
            switch try Reading(output: ChildProcess(command[0], Array(arguments)).result(within: limit)) {
            case .metrics(let metrics): results.add(metrics, to: cell)
            case .unsupported(let why): results.remark(.skipped(why), on: cell)
            }
        } catch {
            results.remark(.failed("\(error)"), on: cell)
        }
    }
}

/// Standard output is the report's.
private func show(_ line: String) {
    var text = line + "\n"
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
