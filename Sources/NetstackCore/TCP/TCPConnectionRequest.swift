// Connection attempts for users who forward by hand.

import NIOCore

/// Someone on a link dials an address that the stack has no listener for (see ``Stack/handleConnections(on:_:)``).
///
/// Nothing has been answered yet. The first of `accept`, `refuse`, `reject` and `drop` decides.
public struct TCPConnectionRequest: Sendable {
    /// Who dials.
    public let source: TransportAddress
    /// What is dialled.
    public let destination: TransportAddress
    private let request: NIOLoopBound<TCPForwardRequest>

    init(_ request: NIOLoopBound<TCPForwardRequest>) {
        self.request = request
        source = request.value.source
        destination = request.value.destination
    }

    /// Completes the handshake.
    ///
    /// - Throws: `NetstackError.timedOut` or `.refused` when the dialler has gone, `.closed` when the request has been decided.
    public func accept() async throws -> TCPConnection {
        try await withCheckedThrowingContinuation { continuation in
            request.eventLoop.execute {
                let accepted = request.value.accept { result in
                    continuation.resume(with: result.map { TCPConnection($0.bound) })
                }
                if accepted == nil { continuation.resume(throwing: NetstackError.closed) }
            }
        }
    }

    /// Answers that nothing listens there: with a reset.
    public func refuse() { request.eventLoop.execute { request.value.refuse() } }

    /// Answers with an ICMP error, which the dialler's `connect` throws as `.prohibited` or `.unreachable`.
    public func reject(_ error: ICMPError = .administrativelyProhibited) {
        request.eventLoop.execute { request.value.reject(error) }
    }

    /// Answers nothing: the dialler's own time-out will tell it.
    public func drop() { request.eventLoop.execute { request.value.drop() } }
}

extension Stack {
    /// Decides about connections that peers on a NIC open to addresses and ports without a listener.
    ///
    /// Without a handler they are refused. Addresses that are not the NIC's own come in only if it is promiscuous.
    ///
    /// - Parameters:
    ///   - nic: where they come in.
    ///   - handler: called on the stack's event loop, once a connection; nil takes the handler away.
    /// - Throws: `NetstackError.noSuchNIC`.
    public func handleConnections(on nic: NICID, _ handler: (@Sendable (TCPConnectionRequest) -> Void)?) throws {
        let eventLoop = eventLoop
        try core.nic(nic).tcpHandler = handler.map { handler in
            { handler(TCPConnectionRequest(NIOLoopBound($0, eventLoop: eventLoop))) }
        }
    }

    /// Receives datagrams that peers on a NIC send to addresses and ports without a socket.
    ///
    /// Without a handler they are answered as unreachable. Answers go out by ``send(_:on:)``.
    ///
    /// - Parameters:
    ///   - nic: where they come in.
    ///   - handler: called on the stack's event loop; nil takes the handler away.
    /// - Throws: `NetstackError.noSuchNIC`.
    public func handleDatagrams(on nic: NICID, _ handler: (@Sendable (UDPDatagram) -> Void)?) throws {
        try core.nic(nic).udpHandler = handler.map { handler in { datagram, _ in handler(datagram) } }
    }

    /// Sends a datagram with a chosen source address, which the NIC must own or be allowed to spoof.
    ///
    /// - Throws: `NetstackError.noSuchNIC`, `.addressNotAvailable`, `.datagramTooLong`, `.linkDown`.
    public func send(_ datagram: UDPDatagram, on nic: NICID) throws {
        let (interface, _) = try core.path(to: datagram.destination.address, nic: nic, from: datagram.source.address)
        try core.send(datagram, on: interface)
    }

    /// Tells the sender of a datagram why it can't be delivered.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func reject(_ datagram: UDPDatagram, _ error: ICMPError, on nic: NICID) throws {
        try core.reject(datagram, error, on: core.nic(nic))
    }
}
