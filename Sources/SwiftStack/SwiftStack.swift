// Stacks whose TCP is written in Swift. All else of them is in NetstackCore, which comes along.

@_exported public import NetstackCore
import NIOCore

extension TCPImplementation {
    /// TCP in Swift: with selective acknowledgments, RACK-TLP and CUBIC, windows that tune themselves, and no C beneath it.
    public static let swift = swift(SwiftTCPSettings())

    /// The same with other settings than the defaults.
    public static func swift(_ settings: SwiftTCPSettings) -> TCPImplementation {
        TCPImplementation { eventLoop, limits in SwiftEngine(on: eventLoop, limits: limits, settings) }
    }
}

/// What may be chosen of TCP in Swift, for all connections of a stack.
public struct SwiftTCPSettings: Sendable {
    /// How the congestion window grows, and by how much a loss reduces it.
    public enum CongestionControl: Sendable {
        /// RFC 9438.
        case cubic
        /// RFC 6582.
        case newReno
    }

    /// CUBIC by default.
    public var congestionControl = CongestionControl.cubic
    /// The least that is waited for an acknowledgment beyond a round trip (RFC 6298 section 2.4): 200 ms by default, a
    /// millisecond at least, a minute at most.
    public var minimumRetransmissionTimeout = Duration.milliseconds(200)
    /// How long data may stay unacknowledged before their connection fails with `NetstackError.timedOut` (RFC 5482). Nil, the
    /// default: as long as fifteen retransmissions take, some thirteen minutes.
    public var userTimeout: Duration?
    /// Whether dials ask for ECN (RFC 3168). A peer that asks gets it in any case.
    public var asksForECN = false

    /// The defaults.
    public init() {}

    var configuration: TCPConfiguration {
        var configuration = TCPConfiguration()
        configuration.congestionControl =
            switch congestionControl {
            case .cubic: .cubic
            case .newReno: .newReno
            }
        configuration.minimumRetransmissionTimeout = TimeAmount(
            min(max(minimumRetransmissionTimeout, .milliseconds(1)), .seconds(60)))
        configuration.userTimeout = userTimeout.map {
            TimeAmount(min(max($0, .milliseconds(1)), .seconds(86_400 * 365)))
        }
        configuration.offersECN = asksForECN
        return configuration
    }
}
