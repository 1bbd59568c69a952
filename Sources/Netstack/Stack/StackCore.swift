// The stack itself, on its event loop: NICs, routes, tables, and the rule by which work is done.

import CLwIP
package import NIOCore

/// A stack without its actor. Everything here runs on `eventLoop`; nothing here waits.
///
/// Work is done in turns. In a turn lwIP is entered and only takes note of what happens to connections; after it has
/// been left, each connection that something happened to is told once; then what was sent leaves in one batch a NIC.
package final class StackCore {
    package let eventLoop: any EventLoop
    let executor: LoopExecutor
    let limits: Stack.Limits
    private let lwip: LwIPInstance
    /// Takes in every connection, whichever address and port it is for (see `accept`).
    private let acceptor: UnsafeMutablePointer<tcp_pcb>

    private(set) var nics: [NICID: NetworkInterface] = [:]
    private(set) var routes = RoutingTable()
    var connections: [TCPControlBlock.ID: TCPControlBlock] = [:]
    var listeners: [PortBinding: TCPListenerCore] = [:]
    var sockets: [PortBinding: UDPSocketCore] = [:]
    /// Connection attempts that a handler has not decided yet.
    var undecided: [TCPControlBlock.ID: TCPForwardRequest] = [:]
    var halfOpenCount = 0
    var echoes = EchoTable()
    package private(set) var isShutDown = false

    private var depth = 0
    private var touched: [TCPControlBlock] = []
    private var deferred: [() -> Void] = []
    private var needsTimer = false
    private var timer: Scheduled<Void>?
    private var slowTickIsDue = false

    init(eventLoop: any EventLoop, limits: Stack.Limits) throws(NetstackError) {
        self.eventLoop = eventLoop
        executor = LoopExecutor(eventLoop)
        self.limits = limits
        let lwip = try LwIPInstance()
        self.lwip = lwip
        let acceptor = lwip.enter {
            let pcb = clwip_tcp_listen(tcp_new_ip_type(UInt8(IPADDR_TYPE_ANY.rawValue)))
            tcp_accept(pcb) { argument, _, _ in
                // The argument is the connection's own: `accept` has set it before the handshake went on.
                if let argument {
                    Unmanaged<TCPControlBlock>.fromOpaque(argument)._withUnsafeGuaranteedRef { $0.libraryOpened() }
                }
                return err_t(ERR_OK.rawValue)
            }
            return pcb
        }
        guard let acceptor else { throw .library(operation: "a new listener", code: Int(ERR_MEM.rawValue)) }
        self.acceptor = acceptor
    }

    deinit {
        lwip.enter { _ = tcp_close(acceptor) }
    }

    // MARK: Turns

    /// Runs `body` inside the library. The outermost turn ends by telling and sending what came of it.
    package func turn<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        eventLoop.assertInEventLoop()
        depth += 1
        defer {
            depth -= 1
            if depth == 0 { settle() }
        }
        return try lwip.enter { () throws(Failure) in
            let result = try body()
            needsTimer = clwip_active_pcbs() != nil || clwip_time_wait_pcbs() != nil
            return result
        }
    }

    /// Remembers that a connection has news.
    func touch(_ block: TCPControlBlock) {
        touched.append(block)
        if depth == 0 { settleSoon() }
    }

    /// Does something after the library has been left.
    func afterTurn(_ work: @escaping () -> Void) {
        deferred.append(work)
        if depth == 0 { settleSoon() }
    }

    private func settleSoon() {
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { if reach.value.depth == 0 { reach.value.settle() } }
    }

    private func settle() {
        depth += 1
        while !touched.isEmpty || !deferred.isEmpty {
            let blocks = touched
            touched.removeAll(keepingCapacity: true)
            for block in blocks { block.deliver() }
            let work = deferred
            deferred.removeAll(keepingCapacity: true)
            for item in work { item() }
        }
        depth -= 1
        for nic in nics.values { nic.flush() }
        armTimer()
    }

    // MARK: Time

    /// lwIP's fast timer runs every 250 ms and its slow timer every 500 ms, while there is anything to time.
    private func armTimer() {
        guard timer == nil, !isShutDown,
            needsTimer || !undecided.isEmpty || nics.values.contains(where: { $0.reassembler.nextExpiry != nil })
        else { return }
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        timer = eventLoop.scheduleTask(in: .milliseconds(Int64(TCP_FAST_INTERVAL))) { reach.value.tick() }
    }

    private func tick() {
        timer = nil
        slowTickIsDue.toggle()
        let now = NIODeadline.now()
        for request in undecided.values where request.expiry <= now { request.abandon() }
        turn {
            tcp_fasttmr()
            if slowTickIsDue {
                clwip_tcp_settle_persist()
                tcp_slowtmr()
                limitClosed()
            }
            for nic in nics.values { expireFragments(of: nic) }
        }
    }

    /// Forgets the oldest connections that are closed here and that lwIP still finishes: both its lists begin with those
    /// that were heard of last.
    private func limitClosed() {
        var count = 0
        var pcb = clwip_active_pcbs()
        while let current = pcb {
            pcb = current.pointee.next
            guard current.pointee.callback_arg == nil else { continue }
            count += 1
            if count > limits.closedConnections { tcp_abandon(current, 1) }
        }
        count = 0
        pcb = clwip_time_wait_pcbs()
        while let current = pcb {
            pcb = current.pointee.next
            count += 1
            if count > limits.closedConnections { clwip_time_wait_remove(current) }
        }
    }

    // MARK: NICs and routes

    func createNIC(
        _ id: NICID, driver: any LinkDriver, addresses: [IPAddress], mtu: Int, promiscuous: Bool, spoofing: Bool
    ) throws(NetstackError) -> NetworkInterface {
        if isShutDown { throw .stackShutDown }
        guard nics[id] == nil else { throw .nicExists(id) }
        guard nics.count < Stack.maximumNICs else { throw .limitReached(what: "NICs", limit: Stack.maximumNICs) }
        guard Stack.mtuRange.contains(mtu) else { throw .mtuOutOfRange(mtu, range: Stack.mtuRange) }
        for address in addresses {
            if let reason = address.whyNotUnicast { throw .addressNotAvailable(address, reason: reason) }
        }
        let nic = NetworkInterface(
            id: id, stack: self, driver: driver, addresses: addresses, mtu: mtu, promiscuous: promiscuous,
            spoofing: spoofing)
        turn { nic.install() }
        nics[id] = nic
        nic.start()
        return nic
    }

    func removeNIC(_ id: NICID) throws(NetstackError) {
        guard let nic = nics[id] else { throw .noSuchNIC(id) }
        remove(nic, .linkDown(reason: "\(id) was removed"))
    }

    private func remove(_ nic: NetworkInterface, _ error: NetstackError) {
        for block in connections.values where block.id.nic == nic.id { block.end(error, tellPeer: true) }
        for request in undecided.values where request.nic === nic { request.abandon() }
        routes.removeAll(via: nic.id)
        turn { abandonAll(of: nic) }
        nic.flush()
        nic.stop()
        nics[nic.id] = nil
        turn { nic.uninstall() }
    }

    /// Ends what lwIP still finishes by itself on a NIC.
    private func abandonAll(of nic: NetworkInterface) {
        for list in [clwip_active_pcbs, clwip_time_wait_pcbs] {
            var pcb = list()
            while let current = pcb {
                pcb = current.pointee.next
                if current.pointee.netif_idx == nic.index { tcp_abandon(current, 1) }
            }
        }
    }

    func addRoute(_ route: Route) throws(NetstackError) {
        guard nics[route.nic] != nil else { throw .noSuchNIC(route.nic) }
        routes.add(route)
    }

    func removeRoute(_ route: Route) { routes.remove(route) }

    package func nic(_ id: NICID) throws(NetstackError) -> NetworkInterface {
        if isShutDown { throw .stackShutDown }
        guard let nic = nics[id] else { throw .noSuchNIC(id) }
        return nic
    }

    /// The NIC towards a destination and the address to use there.
    func path(to destination: IPAddress, nic chosen: NICID?, from source: IPAddress?) throws(NetstackError)
        -> (NetworkInterface, IPAddress)
    {
        if isShutDown { throw .stackShutDown }
        if let reason = destination.whyNotUnicast { throw .addressNotAvailable(destination, reason: reason) }
        guard let id = chosen ?? routes.nic(towards: destination) else { throw .noRoute(destination) }
        let nic = try nic(id)
        if let error = nic.linkError { throw error }
        if nics.values.contains(where: { $0.owns(destination) }) {
            throw .addressNotAvailable(destination, reason: "it is an address of this stack itself")
        }
        if let source, source != .any(source.version) {
            guard source.version == destination.version, nic.owns(source) || nic.spoofing && source.whyNotUnicast == nil
            else { throw .addressNotAvailable(source, reason: "it is not an address of \(id)") }
            return (nic, source)
        }
        guard let source = nic.address(for: destination.version) else {
            throw .addressNotAvailable(destination, reason: "\(id) has no address of that IP version")
        }
        return (nic, source)
    }

    // MARK: Links

    func receive(_ packets: PacketBatch, on nic: NetworkInterface) {
        turn {
            // Resets to segments of no connection leave through the default interface.
            clwip_set_default_netif(nic.netif)
            packets.forEachSpan { input($0, on: nic) }
        }
    }

    func retryOutput(of nic: NetworkInterface) {
        turn {
            var pcb = clwip_active_pcbs()
            while let current = pcb {
                pcb = current.pointee.next
                if current.pointee.netif_idx == nic.index { tcp_output(current) }
            }
        }
    }

    func linkEnded(of nic: NetworkInterface, _ error: NetstackError) {
        for block in connections.values where block.id.nic == nic.id { block.end(error, tellPeer: false) }
        for request in undecided.values where request.nic === nic { request.abandon() }
    }

    // MARK: The end

    /// Ends everything with an error and frees it. What is told to peers still leaves.
    func shutDown() {
        guard !isShutDown else { return }
        for block in connections.values { block.end(.stackShutDown, tellPeer: true) }
        for nic in nics.values { remove(nic, .stackShutDown) }
        isShutDown = true
        for listener in listeners.values { listener.end(.stackShutDown) }
        for socket in sockets.values { socket.end(.stackShutDown) }
        listeners = [:]
        sockets = [:]
        echoes.failAll(.stackShutDown)
        timer?.cancel()
        timer = nil
        turn {}
    }
}

// MARK: - Accepting

extension StackCore {
    /// Gives a SYN to lwIP and takes over the connection that comes of it.
    ///
    /// lwIP sees one listener for all: it is lent the port and the NIC of the SYN for as long as that is processed.
    func accept(_ syn: TCPForwardRequest) -> TCPControlBlock? {
        turn {
            acceptor.withMemoryRebound(to: tcp_pcb_listen.self, capacity: 1) {
                $0.pointee.local_port = syn.destination.port
                $0.pointee.netif_idx = syn.nic.index
            }
            defer { acceptor.withMemoryRebound(to: tcp_pcb_listen.self, capacity: 1) { $0.pointee.local_port = 0 } }
            syn.segment.withUnsafeReadableBytes {
                feed(
                    RawSpan(_unsafeBytes: $0), syn.tcp, from: syn.source.address, to: syn.destination.address,
                    on: syn.nic)
            }
            // A new connection stands at the head of lwIP's list.
            guard let pcb = clwip_active_pcbs(), pcb.pointee.state == SYN_RCVD, pcb.pointee.callback_arg == nil,
                pcb.pointee.remote_port == syn.source.port, pcb.pointee.local_port == syn.destination.port
            else { return nil }
            let block = TCPControlBlock(pcb, id: syn.id, stack: self)
            connections[syn.id] = block
            halfOpenCount += 1
            return block
        }
    }

    func forget(_ block: TCPControlBlock) {
        guard connections[block.id] === block else { return }
        connections[block.id] = nil
        if block.isHalfOpen { halfOpenCount -= 1 }
    }
}
