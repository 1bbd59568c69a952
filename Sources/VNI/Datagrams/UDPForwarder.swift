// Forwards datagrams that arrive on a NIC to real UDP sockets of this host, and back.

public import Logging
public import Netstack

/// Keeps a socket for each pair of source and destination. Replies come from the address that was dialled, and errors come
/// back as they are. ``VirtualInterface`` has one; attach another to a stack of your own.
public struct UDPForwarder: Sendable {
    private let policy: any ExitPolicy
    private let limits: ExitLimits
    private let isEndpointIndependent: Bool
    private let logger: Logger

    /// - Parameters:
    ///   - policy: decides about each flow.
    ///   - limits: what each source may have, and all together.
    ///   - endpointIndependent: as ``VirtualInterface/Configuration/endpointIndependentUDP``.
    ///   - logger: hears of flows and their ends.
    public init(
        policy: any ExitPolicy, limits: ExitLimits = ExitLimits(), endpointIndependent: Bool = false,
        logger: Logger = Logger(label: "vni.udp")
    ) {
        self.policy = policy
        self.limits = limits
        isEndpointIndependent = endpointIndependent
        self.logger = logger
    }

    /// Takes over the datagrams that arrive on a NIC for no socket of the stack. The NIC should be promiscuous.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forward(on: nic) { core, interface in
            ExitCore(core, interface, routes: nil, policy: policy, limits: limits, logger: logger)
                .forwardUDP(endpointIndependent: isEndpointIndependent)
        }
    }
}
