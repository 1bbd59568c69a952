// What interfaces are built from: forwarding by code on the stack's event loop, and the end of a link.

extension Stack {
    /// As ``handleConnections(on:_:)`` and ``handleDatagrams(on:_:)``, for code that stays on the event loop.
    package func forward(on nic: NICID, _ attach: @Sendable (StackCore, NetworkInterface) -> Void) throws {
        attach(core, try core.nic(nic))
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
