// Whether goals and thresholds are judged as they should be.

import BenchmarkReport
import FoundationEssentials
import Testing

@Suite struct ComparisonTests {
    private let ours = Cell(.stack, .bulk)
    private let theirs = Cell(.gvisor, .bulk)

    private func results(_ values: [(Cell, [Double])]) -> Results {
        var results = Results()
        for (cell, figures) in values { for figure in figures { results.add([.gigabitsPerSecond: figure], to: cell) } }
        return results
    }

    private func comparison(_ bound: Comparison.Bound, to denominator: [Cell]? = nil) -> Comparison {
        Comparison("", .gigabitsPerSecond, ours, to: denominator, bound)
    }

    @Test func mediansAreCompared() {
        let results = results([(ours, [1, 20, 10]), (theirs, [5, 4, 100])])
        #expect(comparison(.atLeast(2), to: [theirs]).evaluate(results) == .kept(2))
        #expect(comparison(.atLeast(2.1), to: [theirs]).evaluate(results) == .broken(2))
        #expect(comparison(.atMost(10)).evaluate(results) == .kept(10))
    }

    @Test func theBestPeerCounts() {
        let other = Cell(.gvisorChecksums, .bulk)
        let results = results([(ours, [10]), (theirs, [2]), (other, [5])])
        #expect(comparison(.atLeast(1), to: [theirs, other]).evaluate(results) == .kept(2))
    }

    @Test func whatIsNotThereIsSkippedAndWhatFailedFails() {
        var results = results([(ours, [10])])
        #expect(comparison(.atLeast(1), to: [theirs]).evaluate(results).isFailure == false)
        results.remark(.failed("it crashed"), on: theirs)
        #expect(comparison(.atLeast(1), to: [theirs]).evaluate(results).isFailure)
    }

    @Test func theThresholdsThatAreKeptCanBeRead() throws {
        let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let thresholds = try Thresholds.read("/\(folder)/thresholds.json")
        #expect(thresholds.count > 10)
        #expect(
            try JSONDecoder().decode([Comparison].self, from: JSONEncoder().encode(thresholds)).count
                == thresholds.count)
    }
}
