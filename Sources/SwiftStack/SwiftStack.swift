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
    /// Bytes that the receive window of a connection may grow to, and its send buffer: 8 MiB by default, which a round trip of
    /// 100 ms needs for 600 Mbit/s; 256 KiB at least, 1 GiB at most. See `Stack.Limits.windowBytes` for what all may take.
    public var maximumWindowBytes = 8 << 20
    /// TTL, or Hop Limit, of segments: 64 by default, 1 at least.
    public var hopLimit: UInt8 = 64
    /// The code point of differentiated services of segments (RFC 2474): 0 by default, 63 at most.
    public var codePoint: UInt8 = 0

    /// The defaults.
    public init() {}

    var marks: SegmentWriter.Marks { .init(hopLimit: max(hopLimit, 1), codePoint: min(codePoint, 63)) }

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
        let maximum = min(max(maximumWindowBytes, configuration.initialReceiveWindow), 1 << 30)
        configuration.maximumReceiveWindow = maximum
        configuration.maximumSendBuffer = maximum
        // The least that can say so (RFC 7323 section 2.2).
        configuration.windowScale = (configuration.windowScale..<14).first { 1 << (16 + $0) >= maximum } ?? 14
        return configuration
    }
}
