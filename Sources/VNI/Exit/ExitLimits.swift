// What an exit takes on, and what it has done.

public import Netstack

/// Bounds on what diallers can make an exit do. Those of its stack are in `Stack.Limits`.
public struct ExitLimits: Sendable {
    /// TCP dials under way, those that a policy still decides on included. Beyond: of those that their destination has not
    /// answered for a second the oldest is dropped and counted, else the new one. Its dialler sends the SYN again.
    public var dials = Bound(total: 4096, perSource: 2048)
    /// TCP connections, dials included. Beyond: prohibited.
    public var connections = Bound(total: 32768, perSource: 32768)
    /// UDP flows. Beyond: the oldest on which nothing has come back for a second ends; without one, the new is prohibited.
    public var udpFlows = Bound(total: 4096, perSource: 2048)
    /// Flows of echo requests: one for each identifier and destination. Beyond: as UDP flows.
    public var echoFlows = Bound(total: 1024, perSource: 256)
    /// DNS queries that wait for the host's resolver. Beyond: refused.
    public var nameQueries = Bound(total: 512, perSource: 128)
    /// How long a UDP flow outlives its last datagram. RFC 4787 section 4.3 asks for two minutes at least.
    public var udpIdleTimeout = Duration.seconds(120)
    /// The same for flows to port 53: a name server answers once.
    public var dnsIdleTimeout = Duration.seconds(10)
    /// The same for echo requests.
    public var echoIdleTimeout = Duration.seconds(10)

    /// The limits that most exits do well with.
    public init() {}
}

/// What an exit has done since it was made, and what it does now.
public struct ExitStatistics: Hashable, Sendable {
    /// TCP dials that were let through, and what came of them.
    public internal(set) var dials = 0
    /// Dials that their destination has accepted.
    public internal(set) var connected = 0
    /// Dials that their destination has refused.
    public internal(set) var refused = 0
    /// Dials to what the host can't reach.
    public internal(set) var unreachable = 0
    /// Dials that nobody has answered in time.
    public internal(set) var unanswered = 0
    /// Dials and flows that routes or the policy do not allow.
    public internal(set) var prohibited = 0
    /// Dials beyond ``ExitLimits/dials``.
    public internal(set) var dialsDropped = 0
    /// Dials beyond ``ExitLimits/connections``.
    public internal(set) var connectionsProhibited = 0
    /// Flows that gave way to newer ones, beyond ``ExitLimits/udpFlows`` and ``ExitLimits/echoFlows``.
    public internal(set) var flowsDisplaced = 0
    /// Flows beyond these for which none could give way.
    public internal(set) var flowsProhibited = 0
    /// DNS queries beyond ``ExitLimits/nameQueries``, and connections for such that there was no room for.
    public internal(set) var nameQueriesRefused = 0
    /// Datagrams that found their flow undecided and its queue full, or the host's socket.
    public internal(set) var datagramsDropped = 0
    /// Connections and flows ended because their route was removed.
    public internal(set) var unrouted = 0

    /// TCP dials under way.
    public internal(set) var dialsInFlight = 0
    /// TCP connections, dials under way included.
    public internal(set) var connections = 0
    /// UDP flows, those still being decided on included.
    public internal(set) var udpFlows = 0
    /// Flows of echo requests, those still being decided on included.
    public internal(set) var echoFlows = 0
}
