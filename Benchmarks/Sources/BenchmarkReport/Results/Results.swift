// All that a run has measured.

/// Why a cell has no readings, or no more of them.
package enum Remark: Sendable, Equatable, CustomStringConvertible {
    /// The program is absent, or does not do it.
    case skipped(String)
    case failed(String)

    package var description: String {
        switch self {
        case .skipped(let why): "left out: \(why)"
        case .failed(let why): "failed: \(why)"
        }
    }
}

/// The readings of each cell.
package struct Results: Sendable {
    private var readings: [Cell: [Metrics]] = [:]
    package private(set) var remarks: [Cell: Remark] = [:]

    package init() {}

    package mutating func add(_ metrics: Metrics, to cell: Cell) { readings[cell, default: []].append(metrics) }

    package mutating func remark(_ remark: Remark, on cell: Cell) { remarks[cell] = remark }

    /// In the order of rounds.
    package func values(_ cell: Cell, _ metric: Metric) -> [Double] { readings[cell]?.compactMap { $0[metric] } ?? [] }

    package func summary(_ cell: Cell, _ metric: Metric) -> Summary? { Summary(values(cell, metric)) }
}
