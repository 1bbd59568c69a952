// The charts of a report.

/// Throughput of bulk data against one parameter.
package struct ThroughputChart: Sendable {
    package let file: String
    package let title: String
    let xTitle: String
    let parameter: Parameter
    let values: [Int]
    let yScale: Axis.Scale

    package static let all = [
        ThroughputChart(
            file: "throughput-mtu.svg", title: "One flow, server to client, by MTU", xTitle: "MTU, bytes",
            parameter: .mtu, values: [1500, 9000, 16384, 65535], yScale: .logarithmic),
        ThroughputChart(
            file: "throughput-rtt.svg", title: "One flow, server to client, by round-trip time (MTU 1500)",
            xTitle: "round trip, ms", parameter: .roundTrip, values: [5, 20, 100], yScale: .logarithmic),
        ThroughputChart(
            file: "throughput-connections.svg", title: "Connections at once, server to client (MTU 1500)",
            xTitle: "connections", parameter: .flows, values: [1, 8, 64], yScale: .linear),
    ]

    /// One of each kind. The others differ by little, and would hide these.
    private static let subjects: [Subject] = [
        .kernel, .cLoop, .stack, .swiftStack, .tunnel, .swiftTunnel, .gvisor, .gvisorTunnel,
    ]

    /// Nil if nothing of it has been measured.
    package func chart(of results: Results) -> Chart? {
        let series = Self.subjects.enumerated().compactMap { index, subject -> Chart.Series? in
            let points = values.compactMap { value in
                results.summary(Cell(subject, .bulk).with(parameter, value), .gigabitsPerSecond)
                    .map { Chart.Point(x: Double(value), y: $0) }
            }
            return points.isEmpty ? nil : Chart.Series(name: subject.rawValue, colour: index, points: points)
        }
        guard !series.isEmpty else { return nil }
        return Chart(title: title, xTitle: xTitle, yTitle: "Gbit/s", yScale: yScale, series: series)
    }
}
