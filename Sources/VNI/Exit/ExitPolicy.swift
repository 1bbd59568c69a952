// How the owner of an exit decides about each dial.

public import Netstack

/// Someone dials a destination through an exit: opens a connection, or sends the first datagram of a flow.
public struct ExitDial: Hashable, Sendable, CustomStringConvertible {
    /// What a dial is for.
    public enum Transport: String, Hashable, Sendable {
        /// A TCP connection, or a flow of UDP datagrams.
        case tcp, udp
        /// Echo requests. Ports are 0.
        case icmp
    }

    /// What it is for.
    public var transport: Transport
    /// Who dials.
    public var source: TransportAddress
    /// What is dialled.
    public var destination: TransportAddress
    /// Where the exit's routes lead to: the destination, or what a route puts in its place.
    public var target: TransportAddress

    /// A dial as a policy is asked about it.
    ///
    /// - Parameters:
    ///   - transport: what it is for.
    ///   - source: who dials.
    ///   - destination: what was dialled.
    ///   - target: where the exit would connect to.
    public init(
        _ transport: Transport, from source: TransportAddress, to destination: TransportAddress,
        target: TransportAddress? = nil
    ) {
        self.transport = transport
        self.source = source
        self.destination = destination
        self.target = target ?? destination
    }

    public var description: String { "\(transport.rawValue) \(source) → \(destination)" }
}

/// What becomes of a dial.
public enum ExitDecision: Hashable, Sendable {
    /// It goes to its ``ExitDial/target``.
    case allow
    /// It goes elsewhere. Answers still come from the address that was dialled.
    case redirect(TransportAddress)
    /// The dialler hears that it is administratively prohibited.
    case prohibit
    /// The dialler hears that nothing listens there.
    case refuse
    /// The dialler hears nothing.
    case drop
}

/// Decides about dials that the routes of an exit let through.
///
/// ```swift
/// struct OfficeHours: ExitPolicy {
///     func decide(on dial: ExitDial) async -> ExitDecision {
///         await calendar.isOpen ? .allow : .prohibit
///     }
/// }
/// ```
public protocol ExitPolicy: Sendable {
    /// Called once for each dial, any number of them at once. A dialler waits meanwhile; ``ExitLimits/dials`` and
    /// ``ExitLimits/udpFlows`` bound how many.
    func decide(on dial: ExitDial) async -> ExitDecision
}
