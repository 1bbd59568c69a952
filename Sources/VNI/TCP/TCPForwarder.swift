// Forwards what is dialled on a NIC to real TCP connections of this host.

public import Logging
import NIOCore
public import Netstack

/// Dials the real destination of each connection attempt, and answers the attempt with what came of that.
///
/// The handshake on the link is completed only after the destination has accepted: refused is refused, unreachable is
/// unreachable, and no answer is none. ``VirtualInterface`` has one; attach another to a stack of your own.
public struct TCPForwarder: Sendable {
    private let policy: any ExitPolicy
    private let limits: ExitLimits
    private let logger: Logger

    /// - Parameters:
    ///   - policy: decides about each dial.
    ///   - limits: what each source may have, and all together.
    ///   - logger: hears of dials and their ends.
    public init(
        policy: any ExitPolicy, limits: ExitLimits = ExitLimits(), logger: Logger = Logger(label: "vni.tcp")
    ) {
        self.policy = policy
        self.limits = limits
        self.logger = logger
    }

    /// Takes over the connections dialled on a NIC that no listener of the stack answers. The NIC should be promiscuous.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forward(on: nic) { core, interface in
            ExitCore(core, interface, routes: nil, policy: policy, limits: limits, logger: logger).forwardTCP()
        }
    }
}

extension ExitCore {
    func forwardTCP() {
        // Held by the NIC, which its stack holds: both go together.
        nic.tcpHandler = { [self] in forward($0) }
    }

    /// Runs on the stack's event loop, as do the sockets: a packet crosses no thread on its way.
    private func forward(_ request: TCPForwardRequest) {
        guard let dial = admit(.tcp, from: request.source, to: request.destination) else {
            return request.reject(.administrativelyProhibited)
        }
        let source = request.source.address
        guard connections.hasRoom(for: source) else {
            counters.connectionsProhibited += 1
            return request.reject(.administrativelyProhibited)
        }
        guard take(\.dials, for: source) else {
            counters.dialsDropped += 1
            return request.drop()
        }
        connections.add(source)
        TCPDial(dial, request, self).start()
    }
}
