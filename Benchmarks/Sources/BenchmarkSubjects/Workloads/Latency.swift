// Request and response of one byte each, one at a time over one connection.

import BenchmarkReport
import NIOCore

extension Trial {
    func latency(on lane: isolated Client.Lane) async throws -> Metrics {
        let connection = try await client.connect(to: servers.first, on: lane)
        try await connection.write(ByteBuffer(string: "E"))
        _ = try await times(for: warmUp, on: lane) { _ in connection }
        let times = try await times(for: seconds, on: lane) { _ in connection }
        return try times.latencyMetrics
    }
}

extension [Int] {
    /// Of sorted times in nanoseconds.
    ///
    /// - Throws: `Fault` if there are none.
    var latencyMetrics: Metrics {
        get throws {
            guard let p50 = percentile(0.5), let p99 = percentile(0.99), let p999 = percentile(0.999) else {
                throw Fault("there was no answer")
            }
            return [.p50: Double(p50) / 1e3, .p99: Double(p99) / 1e3, .p999: Double(p999) / 1e3]
        }
    }
}
