// The figures that a measurement yields.

/// A figure. Its raw value is its name in a measurement's output.
package enum Metric: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
    case gigabitsPerSecond = "gbps"
    case cpuSecondsPerGigabyte = "cpu_s_per_gb"
    case smallestShare = "min_share"
    case peakMemory = "peak_rss_mb"
    case p50 = "p50_us"
    case p99 = "p99_us"
    case p999 = "p999_us"
    case perSecond = "per_second"
    case seconds
    case failures
    case bytesPerConnection = "bytes_per_connection"
    case messageTime = "message_us"
    case connectTime = "connect_us"
    case longestTick = "tick_max_us"
    case packetsPerSecond = "packets_per_second"
    case loss

    package var title: String {
        switch self {
        case .gigabitsPerSecond: "Gbit/s"
        case .cpuSecondsPerGigabyte: "CPU seconds per GB"
        case .smallestShare: "share of the slowest flow (1: fair)"
        case .peakMemory: "peak resident memory, MB"
        case .p50: "p50, µs"
        case .p99: "p99, µs"
        case .p999: "p99.9, µs"
        case .perSecond: "per second"
        case .seconds: "seconds"
        case .failures: "failures"
        case .bytesPerConnection: "bytes per connection, both ends"
        case .messageTime: "message on a random one, µs"
        case .connectTime: "connect, µs"
        case .longestTick: "longest run of timers, µs"
        case .packetsPerSecond: "packets per second"
        case .loss: "loss (0…1)"
        }
    }

    package var isBetterHigh: Bool {
        switch self {
        case .gigabitsPerSecond, .smallestShare, .perSecond, .packetsPerSecond: true
        default: false
        }
    }
}

extension Workload {
    /// What it yields, the most telling first.
    package var metrics: [Metric] {
        switch self {
        case .bulk: [.gigabitsPerSecond, .cpuSecondsPerGigabyte, .smallestShare, .peakMemory]
        case .latency: [.p50, .p99, .p999]
        case .connect, .http: [.perSecond, .failures]
        case .dials: [.seconds, .failures]
        case .idle: [.bytesPerConnection, .messageTime, .connectTime, .longestTick]
        case .udp: [.packetsPerSecond, .loss]
        }
    }
}
