// The outcome of one measurement, as programs print it: a line of JSON.

import FoundationEssentials

package typealias Metrics = [Metric: Double]

package enum Reading: Sendable, Equatable {
    case metrics(Metrics)
    /// The program can't do it; why.
    case unsupported(String)

    private struct Line: Codable {
        var subject: String
        var workload: String
        var metrics: [String: Double]?
        var unsupported: String?
    }

    /// Reads what a program has printed. Metrics that this report does not know are left out.
    ///
    /// - Throws: `Fault`.
    package init(output: String) throws(Fault) {
        guard let line = try? JSONDecoder().decode(Line.self, from: Data(output.utf8)) else {
            throw Fault("this is not a line of a measurement: \(output)")
        }
        switch (line.metrics, line.unsupported) {
        case (let metrics?, nil):
            let known = metrics.compactMap { name, value in Metric(rawValue: name).map { ($0, value) } }
            self = .metrics(Dictionary(uniqueKeysWithValues: known))
        case (nil, let why?):
            self = .unsupported(why)
        default:
            throw Fault("a measurement has either metrics or a reason: \(output)")
        }
    }

    /// What a program prints.
    package func output(for cell: Cell) throws -> String {
        var line = Line(subject: cell.subject.rawValue, workload: cell.workload.rawValue)
        switch self {
        case .metrics(let metrics):
            line.metrics = Dictionary(uniqueKeysWithValues: metrics.map { ($0.rawValue, $1) })
        case .unsupported(let why):
            line.unsupported = why
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(line), as: UTF8.self)
    }
}

/// Something is not as it must be; what, in words for the user.
package struct Fault: Error, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
