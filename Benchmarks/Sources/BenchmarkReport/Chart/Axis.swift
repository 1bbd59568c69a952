// An axis of a chart: where values lie on it, and which are marked.

import Glibc

/// A range of values, laid out from 0 to 1.
package struct Axis: Sendable, Equatable {
    package enum Scale: Sendable { case linear, logarithmic }

    package let scale: Scale
    /// The marked values, from the axis's one end to the other.
    package let ticks: [Double]

    /// An axis with ticks at round numbers that holds `values`: from zero, or, if it is logarithmic, those above zero.
    package init(_ scale: Scale, holding values: [Double]) {
        self.scale = scale
        switch scale {
        case .linear:
            let top = max(values.max() ?? 0, .leastNormalMagnitude)
            let step = Axis.roundNumbers(around: top / 5).first { $0 >= top / 5 } ?? top
            ticks = (0...Int((top / step).rounded(.up))).map { Double($0) * step }
        case .logarithmic:
            let positive = values.filter { $0 > 0 }
            let (low, high) = (positive.min() ?? 1, positive.max() ?? 1)
            let numbers = Axis.roundNumbers(around: low, high)
            let first = numbers.last { $0 <= low } ?? low
            let last = numbers.first { $0 >= high && $0 > first } ?? high
            ticks = numbers.filter { (first...last).contains($0) }
        }
    }

    /// A logarithmic axis that is marked at the values themselves.
    package init(marking values: [Double]) {
        scale = .logarithmic
        ticks = values.sorted()
    }

    /// Nil for what lies outside.
    package func position(_ value: Double) -> Double? {
        guard let low = ticks.first, let high = ticks.last, (low...high).contains(value) else { return nil }
        guard low < high else { return 0.5 }
        return switch scale {
        case .linear: (value - low) / (high - low)
        case .logarithmic: log(value / low) / log(high / low)
        }
    }

    /// 1, 2 and 5 times the powers of ten, from below the values to above them.
    private static func roundNumbers(around values: Double...) -> [Double] {
        let exponents = values.map { Int(log10($0).rounded(.down)) }
        guard let low = exponents.min(), let high = exponents.max() else { return [] }
        return (low - 1...high + 1).flatMap { exponent in
            // Dividing by a power that is a whole number keeps 0.1 what it is.
            [1.0, 2, 5].map { exponent < 0 ? $0 / pow(10, Double(-exponent)) : $0 * pow(10, Double(exponent)) }
        }
    }
}
