// What a host may be told: who gets in, and how much anybody may take.

public import Logging
public import NIOCore
public import Netstack

extension LibP2PHost {
    /// How a host is set up.
    public struct Configuration: Sendable {
        /// The peers that may connect and open streams. Nobody else gets one. It can be changed later.
        public var allowedPeers: Set<PeerID> = []
        /// What peers can make the host hold.
        public var limits = Limits()
        /// What the host calls itself towards peers that ask.
        public var agentVersion = "remotenetstack-swift"
        /// Hears of connections and of what goes wrong with them.
        public var logger = Logger(label: "netstack.libp2p")

        /// A host that lets nobody in.
        public init() {}
    }

    /// Bounds on what peers can make a host hold. What exceeds one is counted in ``Counters``.
    public struct Limits: Sendable {
        /// Connections in all, made and accepted, and those accepted from each source: an IPv4 address, or a /64 of IPv6.
        /// Beyond: dials throw, and accepted ones are closed at once.
        public var connections = Bound(total: 256, perSource: 64)
        /// Connections of peers whose handshake is under way, in all and of each source. Beyond: they are closed at once.
        public var handshakes = Bound(total: 32, perSource: 8)
        /// How long a connection's handshake, or the negotiation of a stream's protocol, may take.
        public var handshakeTime = TimeAmount.seconds(10)
        /// Streams that the peer of a connection may have open. Beyond: they are reset.
        public var streamsPerConnection = 256
        /// How far the receive window of a stream may grow, in bytes, at least 256 KiB. It does where the round trip is long.
        public var streamWindowBytes = 16 << 20
        /// How far all windows of a connection may grow together, in bytes, beyond the 256 KiB that each stream has. Its
        /// streams share it equally.
        public var connectionWindowBytes = 64 << 20
        /// The longest message of a negotiation, in bytes. Beyond: the connection or the stream ends.
        public var negotiationMessageBytes = 1024
        /// The longest identify message, in bytes. Beyond: asking throws.
        public var identifyMessageBytes = 16 << 10

        /// The limits that most hosts do well with.
        public init() {}
    }

    /// What has happened since the host was made.
    public struct Counters: Hashable, Sendable {
        /// Connections whose handshake has succeeded.
        public internal(set) var connections = 0
        /// Handshakes that failed, other than for the reasons below.
        public internal(set) var handshakesFailed = 0
        /// Handshakes that took too long.
        public internal(set) var handshakesTimedOut = 0
        /// Connections closed at once because too many handshakes were under way.
        public internal(set) var handshakesRefused = 0
        /// Connections closed at once because there were too many.
        public internal(set) var connectionsRefused = 0
        /// Peers that are not on the allow list, and tried.
        public internal(set) var peersRefused = 0
        /// Streams whose protocol has been agreed on, opened here or by peers.
        public internal(set) var streams = 0
        /// Streams of peers that no protocol was agreed on for, in time or at all.
        public internal(set) var streamsFailed = 0
        /// Streams that peers opened beyond the limit, and that were reset.
        public internal(set) var streamsRefused = 0
        /// Messages longer than their limit.
        public internal(set) var messagesTooLong = 0
    }
}
