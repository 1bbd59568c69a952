// What interfaces are built from: forwarding and serving by code on the stack's event loop, and the end of a link.

import NIOCore

extension Stack {
    /// As ``handleConnections(on:_:)`` and ``handleDatagrams(on:_:)``, for code that stays on the event loop.
    package func forward(on nic: NICID, _ attach: @Sendable (StackCore, NetworkInterface) -> Void) throws {
        attach(core, try core.nic(nic))
    }

    /// Takes the datagrams to one address and port, until the stack is shut down.
    ///
    /// - Throws: as ``openUDP(port:at:)``.
    package func serveUDP(
        at address: TransportAddress, _ handler: @escaping (UDPDatagram) -> Void
    ) throws {
        let socket = try core.openUDP(port: address.port, at: address.address)
        socket.changed = { [unowned socket] in
            while let datagram = socket.take() { handler(datagram) }
        }
    }

    /// Takes the connections to one address and port, until the stack is shut down. At most `backlog` are opening at once.
    ///
    /// - Throws: as ``listen(port:at:backlog:)``.
    package func serveTCP(
        at address: TransportAddress, backlog: Int, _ handler: @escaping (TCPControlBlock) -> Void
    ) throws {
        let listener = try core.listen(port: address.port, at: address.address, backlog: backlog)
        listener.changed = { [unowned listener] in
            while let block = listener.take() { handler(block) }
        }
    }

    /// Waits until the link of a NIC has ended, in good order or by removal of the NIC.
    ///
    /// - Throws: `NetstackError.linkDown` with the error that ended the link; `.noSuchNIC`; `CancellationError`.
    public func waitForLinkEnd(of nic: NICID) async throws {
        if core.isShutDown { return }
        let interface = try core.nic(nic)
        if let error = interface.linkError {
            if case .linkDown(reason: nil) = error { return }
            throw error
        }
        try await interface.linkEndWaiters.join().wait(on: self)
    }
}
