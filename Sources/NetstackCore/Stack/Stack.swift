// The stack for users: an actor on a NIO event loop.

import NIOConcurrencyHelpers
public import NIOCore
import NIOPosix

/// A userspace TCP/IP stack, alone in its own world: its addresses, ports and routes are no other stack's.
///
/// All stacks of a process share one event loop by default, which is the fastest arrangement: what they pass each other stays
/// on one thread, and lwIP lets only one in at a time. Dropping the last reference to a stack shuts it down.
public actor Stack {
    /// The event loop of stacks that are not given one.
    public static let defaultEventLoop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()

    /// Supported MTUs in bytes (RFC 791: every host accepts 576).
    public static let mtuRange = 576...65535

    /// The most NICs a stack can have: lwIP counts them in a byte.
    public static let maximumNICs = 250

    /// Bounds on what peers can make a stack hold.
    public struct Limits: Sendable {
        /// Connections that are open or opening; those of one peer count if it opened them. Beyond: `connect` throws, SYNs
        /// are dropped and counted.
        public var connections = Bound(total: 65536, perSource: 65536)
        /// Handshakes begun by peers and not complete, dials on their behalf included. Beyond: SYNs are dropped and counted.
        public var halfOpenConnections = Bound(total: 16384, perSource: 8192)
        /// Connections closed here that still have something to send, and as many in TIME-WAIT. Beyond: the oldest are
        /// reset, or forgotten early.
        public var closedConnections = 8192
        /// Bytes by which the windows and send buffers of all connections together may grow beyond the 256 KiB that each
        /// begins with. One grows as far as its round trip needs; with few connections up to 1 MiB whatever that is. Once the
        /// budget is used up, they stay as they are. Over TCP in Swift, idle connections give theirs back.
        public var windowBytes = 64 << 20
        /// Bytes in the receive queue of one UDP socket. Beyond: datagrams are dropped and counted.
        public var socketReceiveBytes = 1 << 20
        /// Bytes, for each NIC, of fragments awaiting the rest of their datagram. Beyond: the oldest datagrams are dropped
        /// and counted. They live for 30 seconds.
        public var reassemblyBytes = Bound(total: 4 << 20, perSource: 1 << 20)

        /// The limits that most stacks do well with.
        public init() {}
    }

    /// The event loop on which the stack and everything of it runs.
    public nonisolated let eventLoop: any EventLoop
    private nonisolated let executor: any SerialExecutor
    private nonisolated let box: NIOLoopBoundBox<StackCore>
    /// See `nameServers`.
    nonisolated let nameServerList = NIOLockedValueBox<[IPAddress]>([])
    /// Names that are being resolved.
    lazy var resolutions = Resolutions(executor: core.executor)

    /// Runs tasks on the stack's event loop. What a task that prefers it does with the stack costs no change of threads:
    /// `withTaskExecutorPreference(stack.taskExecutor) { … }`. It should not block, nor compute for long.
    public nonisolated let taskExecutor: any TaskExecutor

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The stack as code on its event loop uses it.
    package nonisolated var core: StackCore { box.value }

    /// Makes a stack without NICs, over a TCP of choice.
    ///
    /// - Throws: `NetstackError.incompatibleLibrary` when the TCP is lwIP's and the installed liblwip does not fit.
    public init(
        _ tcp: TCPImplementation, limits: Limits = Limits(), on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) throws {
        self.eventLoop = eventLoop
        executor = eventLoop.executor
        let loopExecutor = LoopExecutor(eventLoop)
        taskExecutor = loopExecutor
        let core = try StackCore(eventLoop: eventLoop, executor: loopExecutor, limits: limits, tcp: tcp)
        box = .makeBoxSendingValue(core, eventLoop: eventLoop)
    }

    deinit {
        let box = box
        eventLoop.execute { box.value.shutDown() }
    }

    // MARK: NICs and routes

    /// Adds a NIC with a link under it.
    ///
    /// - Parameters:
    ///   - id: any number that no other NIC of this stack has.
    ///   - link: what carries its packets. It is closed with the NIC.
    ///   - addresses: the NIC's own addresses.
    ///   - mtu: the largest packet in bytes, within ``mtuRange``; the link's default if nil. Ends may differ.
    ///   - promiscuous: take in packets to any address, not just the NIC's own.
    ///   - spoofing: let packets leave from any address.
    /// - Throws: `NetstackError.nicExists`, `.mtuOutOfRange`, `.addressNotAvailable`, `.limitReached`, `.stackShutDown`.
    public func createNIC(
        _ id: NICID, link: some Link, addresses: [IPAddress], mtu: Int? = nil, promiscuous: Bool = false,
        spoofing: Bool = false
    ) throws {
        let driver =
            (link as? any EventLoopLink)?.makeDriver(on: eventLoop) ?? TaskLinkDriver(link: link, on: eventLoop)
        _ = try core.createNIC(
            id, driver: driver, addresses: addresses, mtu: mtu ?? link.defaultMTU, promiscuous: promiscuous,
            spoofing: spoofing)
    }

    /// Adds a NIC whose packets the caller carries by hand, through `endpoint`. Otherwise as with a link.
    public func createNIC(
        _ id: NICID, endpoint: Endpoint, addresses: [IPAddress], mtu: Int? = nil, promiscuous: Bool = false,
        spoofing: Bool = false
    ) throws {
        try createNIC(
            id, link: endpoint.stackSide, addresses: addresses, mtu: mtu, promiscuous: promiscuous, spoofing: spoofing)
    }

    /// Removes a NIC, its routes, and its connections, which fail with `.linkDown`. Its link is closed.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func removeNIC(_ id: NICID) throws { try core.removeNIC(id) }

    /// Sends what is for `destination` out of a NIC, unless a longer prefix leads elsewhere.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func addRoute(to destination: CIDRBlock, via nic: NICID) throws {
        try core.addRoute(Route(to: destination, via: nic))
    }

    /// Takes a route away, if there is one.
    public func removeRoute(to destination: CIDRBlock, via nic: NICID) {
        core.removeRoute(Route(to: destination, via: nic))
    }

    /// The routing table, longest prefixes first.
    public var routes: [Route] { core.routes.routes }

    /// What a NIC has moved and dropped.
    ///
    /// - Throws: `NetstackError.noSuchNIC`, `.stackShutDown`.
    public func statistics(of nic: NICID) throws -> NICStatistics { try core.nic(nic).statistics }

    /// The number of connections that are open, opening, or not yet closed on this side.
    public var connectionCount: Int { core.openConnectionCount }

    // MARK: TCP

    /// Opens a connection.
    ///
    /// - Parameters:
    ///   - destination: where to. Loopback addresses and the stack's own can't be dialled.
    ///   - source: where from; a port of 0 means any. The NIC must own the address, or be allowed to spoof.
    ///   - nic: the NIC to use instead of the one the routes lead to.
    ///   - timeout: how long to wait for an answer.
    /// - Throws: `NetstackError.refused`, `.prohibited`, `.unreachable`, `.timedOut`, `.noRoute`, `.addressNotAvailable`,
    ///   `.addressInUse`, `.portsExhausted`, `.limitReached`, `.noSuchNIC`, `.linkDown`, `.stackShutDown`;
    ///   `CancellationError`.
    public func connect(
        to destination: TransportAddress, from source: TransportAddress? = nil, nic: NICID? = nil,
        timeout: Duration = .seconds(30)
    ) async throws -> TCPConnection {
        try await withBlock(to: destination, from: source, nic: nic, timeout: timeout) { TCPConnection($0.bound) }
    }

    /// Opens a connection and makes something of it, on the event loop, as soon as it is open.
    func withBlock<Value: Sendable>(
        to destination: TransportAddress, from source: TransportAddress?, nic: NICID?, timeout: Duration,
        _ make: @escaping (TCPControlBlock) -> Value
    ) async throws -> Value {
        let line = LoopWaiters(executor: core.executor)
        var outcome: Result<Value, NetstackError>?
        let block = try core.connect(to: destination, from: source, nic: nic) { opened in
            outcome = opened.map(make)
            line.resumeFirst()
        }
        let reach = block.bound
        let deadline = eventLoop.scheduleTask(in: TimeAmount(timeout)) {
            if reach.value.isOpening { reach.value.end(.timedOut(destination), tellPeer: true) }
        }
        defer { deadline.cancel() }
        while true {
            if let outcome { return try outcome.get() }
            do {
                try await line.join().wait(on: self)
            } catch {
                block.reset()
                throw error
            }
        }
    }

    /// Accepts connections to a port.
    ///
    /// - Parameters:
    ///   - port: 0 means any that is free.
    ///   - address: at this address only; nil means at all addresses, of both IP versions.
    ///   - backlog: how many connections may wait to be taken.
    /// - Throws: `NetstackError.addressInUse`, `.addressNotAvailable`, `.portsExhausted`, `.stackShutDown`.
    public func listen(port: UInt16, at address: IPAddress? = nil, backlog: Int = 256) throws -> TCPListener {
        let listener = try core.listen(port: port, at: address, backlog: backlog)
        return TCPListener(
            NIOLoopBound(listener, eventLoop: eventLoop), localAddress: listener.localAddress, stack: self)
    }

    // MARK: UDP and ICMP

    /// Opens a UDP socket. Parameters and errors as ``listen(port:at:backlog:)``.
    public func openUDP(port: UInt16 = 0, at address: IPAddress? = nil) throws -> UDPSocket {
        let socket = try core.openUDP(port: port, at: address)
        return UDPSocket(NIOLoopBound(socket, eventLoop: eventLoop), localAddress: socket.localAddress, stack: self)
    }

    /// Sends an ICMP or ICMPv6 echo request and waits for its reply.
    ///
    /// - Parameters:
    ///   - destination: whom to ask.
    ///   - payloadSize: bytes of data to carry, 0…65,000.
    ///   - nic: the NIC to use instead of the one the stack's routes lead to.
    ///   - timeout: how long to wait for the reply.
    /// - Returns: the round-trip time.
    /// - Throws: `NetstackError.timedOut`, `.prohibited`, `.unreachable`, and those of finding a way; `CancellationError`.
    public func ping(
        _ destination: IPAddress, payloadSize: Int = 56, nic: NICID? = nil, timeout: Duration = .seconds(5)
    ) async throws -> Duration {
        guard (0...65000).contains(payloadSize) else { throw NetstackError.datagramTooLong(payloadSize, limit: 65000) }
        let core = core
        let line = LoopWaiters(executor: core.executor)
        var answer: Result<Void, NetstackError>?
        let (identifier, sequence) = try core.sendEcho(to: destination, nic: nic, payloadSize: payloadSize) {
            answer = $0
            line.resumeFirst()
        }
        let box = box
        let giveUp: @Sendable () -> Void = {
            let echo = box.value.echoes.take(identifier, sequence, from: destination)
            echo?(.failure(.timedOut(TransportAddress(destination, 0))))
        }
        let deadline = eventLoop.scheduleTask(in: TimeAmount(timeout), giveUp)
        defer {
            deadline.cancel()
            giveUp()
        }
        let clock = ContinuousClock()
        let start = clock.now
        while answer == nil { try await line.join().wait(on: self) }
        try answer?.get()
        return clock.now - start
    }

    // MARK: The end

    /// Ends all connections, listeners and sockets with `.stackShutDown`, closes the links, and frees everything.
    /// Calling it again does nothing.
    public func shutdown() { core.shutDown() }
}

extension PortBinding {
    var transportAddress: TransportAddress { TransportAddress(address ?? .v4(.any), port) }
}

extension StackCore {
    /// As ``Stack/listen(port:at:backlog:)``.
    package func listen(port: UInt16, at address: IPAddress?, backlog: Int) throws(NetstackError) -> TCPListenerCore {
        let binding = try listeners.free(bindable(address), port: port)
        let listener = TCPListenerCore(binding, backlog: backlog, stack: self)
        listeners[binding] = listener
        return listener
    }

    /// As ``Stack/openUDP(port:at:)``.
    package func openUDP(port: UInt16, at address: IPAddress?) throws(NetstackError) -> UDPSocketCore {
        let binding = try sockets.free(bindable(address), port: port)
        let socket = UDPSocketCore(binding, stack: self)
        sockets[binding] = socket
        return socket
    }

    /// `address` if something may be bound to it.
    private func bindable(_ address: IPAddress?) throws(NetstackError) -> IPAddress? {
        if isShutDown { throw .stackShutDown }
        if let address,
            !nics.values.contains(where: { $0.owns(address) || $0.promiscuous && address.whyNotUnicast == nil })
        {
            throw .addressNotAvailable(address, reason: "no NIC has it")
        }
        return address
    }

    func sendEcho(
        to destination: IPAddress, nic: NICID?, payloadSize: Int, _ completion: @escaping EchoTable.Completion
    ) throws(NetstackError) -> (UInt16, UInt16) {
        let (nic, source) = try path(to: destination, nic: nic, from: nil)
        let (identifier, sequence) = try echoes.add(destination, completion)
        let echo = ICMPEcho(
            identifier: identifier, sequenceNumber: sequence, payload: ByteBuffer(repeating: 0x2a, count: payloadSize))
        try turn { () throws(NetstackError) in
            try send(.echoRequest(echo), from: source, to: destination, on: nic)
        }
        return (identifier, sequence)
    }
}
