// What interfaces are built from: forwarding by code on the stack's event loop, and the end of a link.

extension Stack {
    /// As ``handleConnections(on:_:)``, for code that stays on the event loop.
    package func forwardTCP(on nic: NICID, _ forward: @escaping @Sendable (TCPForwardRequest) -> Void) throws {
        try core.nic(nic).tcpHandler = forward
    }

    /// As ``handleDatagrams(on:_:)``, for code that stays on the event loop. `stop` is called when the NIC is removed.
    package func forwardUDP(
        on nic: NICID,
        _ make: @Sendable (StackCore, NetworkInterface) -> (receive: (UDPDatagram) -> Void, stop: () -> Void)
    ) throws {
        let interface = try core.nic(nic)
        let forwarder = make(core, interface)
        interface.udpHandler = { datagram, _ in forwarder.receive(datagram) }
        interface.stopped = forwarder.stop
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
        try await interface.linkEndWaiters.wait()
    }
}
