// A figure, or the ratio of two, and the bound it has to keep.

/// The medians of one run are compared: ratios hold on any machine, while figures alone hold on the one they are meant for.
package struct Comparison: Sendable, Codable {
    package enum Bound: Sendable, Equatable {
        case atLeast(Double)
        case atMost(Double)
    }

    package let name: String
    package let metric: Metric
    package let numerator: Cell
    /// The best of these counts; nil where the figure itself is bounded.
    package let denominator: [Cell]?
    package let bound: Bound

    package init(_ name: String, _ metric: Metric, _ numerator: Cell, to denominator: [Cell]? = nil, _ bound: Bound) {
        self.name = name
        self.metric = metric
        self.numerator = numerator
        self.denominator = denominator
        self.bound = bound
    }

    package var cells: [Cell] { [numerator] + (denominator ?? []) }

    package enum Outcome: Sendable, Equatable {
        case kept(Double)
        case broken(Double)
        /// A measurement that it takes has failed.
        case failed(String)
        /// A measurement that it takes can't be made here.
        case skipped(String)

        package var value: Double? {
            switch self {
            case .kept(let value), .broken(let value): value
            case .failed, .skipped: nil
            }
        }

        package var isFailure: Bool {
            switch self {
            case .broken, .failed: true
            case .kept, .skipped: false
            }
        }
    }

    package func evaluate(_ results: Results) -> Outcome {
        for cell in cells {
            if case .failed(let why) = results.remarks[cell] { return .failed("\(cell): \(why)") }
        }
        guard var value = results.summary(numerator, metric)?.median else { return missing(numerator, results) }
        if let denominator {
            let medians = denominator.compactMap { results.summary($0, metric)?.median }
            guard let best = metric.isBetterHigh ? medians.max() : medians.min() else {
                return denominator.first.map { missing($0, results) } ?? .skipped("there is nothing to compare with")
            }
            value /= best
        }
        guard value.isFinite else { return .skipped("nothing can be compared with zero") }
        return switch bound {
        case .atLeast(let limit): value >= limit ? .kept(value) : .broken(value)
        case .atMost(let limit): value <= limit ? .kept(value) : .broken(value)
        }
    }

    private func missing(_ cell: Cell, _ results: Results) -> Outcome {
        .skipped("\(cell): \(results.remarks[cell].map { "\($0)" } ?? "not measured")")
    }
}

extension Comparison.Bound: CustomStringConvertible {
    package var description: String {
        switch self {
        case .atLeast(let limit): "≥ \(limit.figure)"
        case .atMost(let limit): "≤ \(limit.figure)"
        }
    }
}

extension Comparison.Bound: Codable {
    private enum CodingKeys: String, CodingKey {
        case atLeast = "at_least"
        case atMost = "at_most"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let limit = try container.decodeIfPresent(Double.self, forKey: .atLeast) {
            self = .atLeast(limit)
        } else {
            self = .atMost(try container.decode(Double.self, forKey: .atMost))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .atLeast(let limit): try container.encode(limit, forKey: .atLeast)
        case .atMost(let limit): try container.encode(limit, forKey: .atMost)
        }
    }
}

extension Comparison {
    private enum CodingKeys: String, CodingKey {
        case name, metric, numerator, denominator
    }

    /// The bound stands beside the other members, not in an object of its own.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            try container.decode(String.self, forKey: .name), try container.decode(Metric.self, forKey: .metric),
            try container.decode(Cell.self, forKey: .numerator),
            to: try container.decodeIfPresent([Cell].self, forKey: .denominator), try Bound(from: decoder))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(metric, forKey: .metric)
        try container.encode(numerator, forKey: .numerator)
        try container.encodeIfPresent(denominator, forKey: .denominator)
        try bound.encode(to: encoder)
    }
}
