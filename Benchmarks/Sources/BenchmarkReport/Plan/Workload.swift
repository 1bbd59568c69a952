// What a subject is made to do, and with which parameters.

package enum Workload: String, Codable, Sendable, CaseIterable {
    case bulk, latency, connect, dials, http, idle, udp
}

/// Which way bulk data goes.
package enum Direction: String, Codable, Sendable, CaseIterable {
    /// Client to server.
    case up
    /// Server to client.
    case down
}

/// A number that a workload depends on. Its raw value is its name on command lines and in files.
package enum Parameter: String, Sendable, CaseIterable {
    case mtu
    case flows
    case roundTrip = "rtt-ms"
    /// Packets lost of 10,000.
    case loss
    case concurrency
    case connections
    case size

    package var defaultValue: Int {
        switch self {
        case .mtu: 1500
        case .flows, .concurrency: 1
        case .roundTrip, .loss: 0
        case .connections: 1000
        case .size: 1400
        }
    }

    package func label(_ value: Int) -> String {
        let number = Double(value).figure
        return switch self {
        case .mtu: "MTU \(value)"
        case .flows: value == 1 ? "1 flow" : "\(number) flows"
        case .roundTrip: "\(number) ms round trip"
        case .loss: "\(value == 0 ? "no" : "\((Double(value) / 100).figure) %") loss"
        case .concurrency: "\(number) at once"
        case .connections: "\(number) connections"
        case .size: "\(number) bytes"
        }
    }
}
