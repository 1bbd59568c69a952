// What several flows get done in a while.

import BenchmarkReport
import Synchronization

/// Bytes or answers of a flow, counted on its lane and read from elsewhere.
final class Counter: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add(_ number: Int) { count.wrappingAdd(number, ordering: .relaxed) }
}

/// How far each of several counters went, what that took, and how long it was.
struct Throughput {
    private let counts: [Double]
    private let nanoseconds: Double
    private let cpuSeconds: Double
    private let peakResident: Double
    private var total: Double { counts.reduce(0, +) }

    /// Watches `counters`, after a warm-up.
    init(of counters: [Counter], after warmUp: Double, for seconds: Double, _ usage: Usage) async throws {
        try await Task.sleep(for: .seconds(warmUp))
        let (start, cpu, before) = (Nanoseconds.now, usage.cpuSeconds, counters.map(\.value))
        try await Task.sleep(for: .seconds(seconds))
        let (end, cpuAfter, after) = (Nanoseconds.now, usage.cpuSeconds, counters.map(\.value))
        counts = zip(after, before).map { Double($0 - $1) }
        nanoseconds = Double(end - start)
        cpuSeconds = cpuAfter - cpu
        peakResident = usage.peakResident
    }

    var perSecond: Double { total * 1e9 / nanoseconds }

    /// Where bytes have been counted.
    ///
    /// - Throws: `Fault` if there were none.
    var bulkMetrics: Metrics {
        get throws {
            guard let least = counts.min(), total > 0 else { throw Fault("nothing has arrived") }
            return [
                .gigabitsPerSecond: total * 8 / nanoseconds,
                .cpuSecondsPerGigabyte: cpuSeconds / (total / 1e9),
                .smallestShare: least * Double(counts.count) / total,
                .peakMemory: peakResident / 1e6,
            ]
        }
    }
}
