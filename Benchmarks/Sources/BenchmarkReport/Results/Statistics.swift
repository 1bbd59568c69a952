// Medians and percentiles.

/// What several measurements of the same come to.
package struct Summary: Sendable, Equatable {
    package let median: Double
    package let minimum: Double
    package let maximum: Double

    /// Nil without values.
    package init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        (minimum, maximum) = (first, last)
        let middle = sorted.count / 2
        median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

extension Array where Element: Comparable {
    /// The smallest element of these sorted ones that at least the share `rank` of all does not exceed; nil without elements.
    package func percentile(_ rank: Double) -> Element? {
        guard !isEmpty else { return nil }
        let position = (rank * Double(count)).rounded(.up)
        return self[Swift.min(Swift.max(Int(position), 1), count) - 1]
    }
}
