// Sending and receiving datagrams.

import DequeModule
public import NIOCore

/// A UDP socket of a userspace stack.
///
/// Datagrams up to ``UDPDatagram/maximumPayload`` bytes travel whatever the MTU: longer ones than it are fragmented.
/// Those that arrive wait in a queue bounded by `Stack.Limits.socketReceiveBytes`; what does not fit is dropped and counted.
public final class UDPSocket: Sendable {
    /// Where it receives. Address zero stands for all addresses of the stack.
    public let localAddress: TransportAddress
    private let core: NIOLoopBound<UDPSocketCore>
    private let stack: Stack

    init(_ core: NIOLoopBound<UDPSocketCore>, localAddress: TransportAddress, stack: Stack) {
        self.core = core
        self.localAddress = localAddress
        self.stack = stack
    }

    deinit {
        let core = core
        core.eventLoop.execute { core.value.end(.closed) }
    }

    /// Sends one datagram, waiting while the link is full. As in any UDP, returning says nothing about its arrival.
    ///
    /// - Throws: `NetstackError.datagramTooLong`, `.noRoute`, `.addressNotAvailable`, `.linkDown`, `.closed`,
    ///   `.stackShutDown`; `CancellationError`.
    public func send(_ payload: ByteBuffer, to destination: TransportAddress) async throws {
        try await stack.send(payload, to: destination, through: core)
    }

    /// The next datagram, waiting for it if need be.
    ///
    /// - Throws: `NetstackError.unreachable` or `.prohibited` when an ICMP error has come back for something this socket sent;
    ///   `.closed`, `.stackShutDown`; `CancellationError`.
    public func receive() async throws -> UDPDatagram {
        try await stack.receive(from: core)
    }

    /// Gives up the port. Receives and sends that wait throw `.closed`.
    public func close() async {
        await core.execute { $0.end(.closed) }
    }
}

extension Stack {
    fileprivate func send(
        _ payload: ByteBuffer, to destination: TransportAddress, through core: NIOLoopBound<UDPSocketCore>
    ) async throws {
        while let nic = try core.value.sendIfThereIsRoom(payload, to: destination) {
            try await nic.roomWaiters.join().wait(on: self)
        }
    }

    fileprivate func receive(from core: NIOLoopBound<UDPSocketCore>) async throws -> UDPDatagram {
        try await core.value.receive()
    }
}

/// A UDP socket on the event loop.
package final class UDPSocketCore {
    private let binding: PortBinding
    private weak var stack: StackCore?
    private let limit: Int
    private var queue: Deque<UDPDatagram> = []
    private var queuedBytes = 0
    private var pendingError: (error: NetstackError, destination: TransportAddress)?
    /// Whether a NIC has it among those that wait for its link.
    var waitsForLink = false
    /// Why it has ended.
    package private(set) var ended: NetstackError?
    private let waiters: LoopWaiters
    /// Called on the event loop when there is a datagram or an error to take, when a full link takes more, and when the socket
    /// has ended.
    package var changed: (() -> Void)?

    init(_ binding: PortBinding, stack: StackCore) {
        self.binding = binding
        self.stack = stack
        limit = stack.limits.socketReceiveBytes
        waiters = LoopWaiters(executor: stack.executor)
    }

    package var localAddress: TransportAddress { binding.transportAddress }

    /// Sends a datagram, or returns false where the link is full: `changed` tells when it is not.
    package func sendOrWait(_ payload: ByteBuffer, to destination: TransportAddress) throws(NetstackError) -> Bool {
        guard let nic = try sendIfThereIsRoom(payload, to: destination) else { return true }
        nic.enqueue(self)
        return false
    }

    func linkDrained() {
        waitsForLink = false
        changed?()
    }

    /// Sends a datagram, or returns whose link is full.
    func sendIfThereIsRoom(
        _ payload: ByteBuffer, to destination: TransportAddress
    ) throws(NetstackError) -> NetworkInterface? {
        let (stack, nic, datagram) = try prepare(payload, to: destination)
        guard nic.hasRoom else { return nic }
        try stack.send(datagram, on: nic)
        return nil
    }

    private func prepare(
        _ payload: ByteBuffer, to destination: TransportAddress
    ) throws(NetstackError) -> (StackCore, NetworkInterface, UDPDatagram) {
        if let ended { throw ended }
        guard let stack else { throw .stackShutDown }
        let (nic, address) = try stack.path(to: destination.address, nic: nil, from: binding.address)
        let source = TransportAddress(address, binding.port)
        return (stack, nic, UDPDatagram(source: source, destination: destination, payload: payload))
    }

    func add(_ datagram: UDPDatagram, on nic: NetworkInterface) {
        // A datagram weighs more than its payload: else empty ones would be free.
        let weight = datagram.payload.readableBytes + MemoryLayout<UDPDatagram>.stride
        guard ended == nil, queuedBytes + weight <= limit else { return nic.statistics.drop(.socketFull) }
        queuedBytes += weight
        queue.append(datagram)
        waiters.resumeFirst()
        changed?()
    }

    package var hasDatagrams: Bool { !queue.isEmpty }

    /// Takes a datagram that waits.
    package func take() -> UDPDatagram? {
        guard let datagram = queue.popFirst() else { return nil }
        queuedBytes -= datagram.payload.readableBytes + MemoryLayout<UDPDatagram>.stride
        return datagram
    }

    /// Takes the error that has come back for a datagram to `destination`, or to any.
    package func takeError(for destination: TransportAddress? = nil) -> NetstackError? {
        defer { pendingError = nil }
        guard let pendingError, destination == nil || destination == pendingError.destination else { return nil }
        return pendingError.error
    }

    func receive(isolation: isolated any Actor = #isolation) async throws -> UDPDatagram {
        while true {
            if let error = takeError() { throw error }
            if let datagram = take() { return datagram }
            if let ended { throw ended }
            try await waiters.join().wait(on: isolation)
        }
    }

    /// Reports an ICMP error with the next receive.
    func fail(_ error: NetstackError, for destination: TransportAddress) {
        pendingError = (error, destination)
        waiters.resumeFirst()
        changed?()
    }

    package func end(_ error: NetstackError) {
        guard ended == nil else { return }
        ended = error
        if let stack {
            if stack.sockets[binding] === self { stack.sockets[binding] = nil }
            // Its senders among them; the others wait again.
            for nic in stack.nics.values { nic.roomWaiters.resumeAll() }
        }
        waiters.resumeAll()
        let changed = changed
        self.changed = nil
        changed?()
    }
}

extension StackCore {
    /// Sends a datagram from any source address; who may use which is the caller's to check.
    package func send(_ datagram: UDPDatagram, on nic: NetworkInterface) throws(NetstackError) {
        if let error = nic.linkError { throw error }
        let length = datagram.payload.readableBytes
        guard length <= UDPDatagram.maximumPayload else {
            throw .datagramTooLong(length, limit: UDPDatagram.maximumPayload)
        }
        var packet = ByteBuffer()
        packet.reserveCapacity(length + 48)
        try UDPHeader.write(datagram.payload, from: datagram.source, to: datagram.destination, into: &packet)
        turn { nic.sendFragmenting(packet) }
    }

    /// Tells the sender of a datagram that came in on `nic` why it can't be delivered.
    ///
    /// - Parameter reporter: who has found the error, if that is not this stack.
    package func reject(
        _ datagram: UDPDatagram, _ error: ICMPError, on nic: NetworkInterface, from reporter: IPAddress? = nil
    ) {
        // The packet as it came, or one alike: an error quotes addresses and ports.
        var packet = ByteBuffer()
        try? UDPHeader.write(datagram.payload, from: datagram.source, to: datagram.destination, into: &packet)
        reject(packet, error, on: nic, from: reporter)
    }

    /// The same for an echo request.
    package func reject(
        _ echo: ICMPEcho, from source: IPAddress, to destination: IPAddress, _ error: ICMPError,
        on nic: NetworkInterface, from reporter: IPAddress? = nil
    ) {
        var packet = ByteBuffer()
        try? ICMPMessage.echoRequest(echo).write(from: source, to: destination, into: &packet)
        reject(packet, error, on: nic, from: reporter)
    }

    private func reject(_ packet: ByteBuffer, _ error: ICMPError, on nic: NetworkInterface, from reporter: IPAddress?) {
        let span = packet.readableBytesSpan
        guard let header = try? IPHeader(parsing: span) else { return }
        turn { answer(error, to: header, span, on: nic, from: reporter) }
    }
}
