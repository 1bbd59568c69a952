// The stack itself, on its event loop: NICs, routes, tables, and the rule by which work is done.

import CLwIP
import DequeModule
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
    /// What its SYNs announce (RFC 7323 section 2.2): windows to 8 MiB.
    static let windowScale: UInt8 = 7
    /// Takes in every connection, whichever address and port it is for (see `accept`).
    private let acceptor: UnsafeMutablePointer<tcp_pcb>

    private(set) var nics: [NICID: NetworkInterface] = [:]
    private(set) var routes = RoutingTable()
    /// Open, opening, and closing.
    var connections: [TCPControlBlock.ID: TCPControlBlock] = [:]
    var timeWait = TimeWaitTable()
    var listeners: [PortBinding: TCPListenerCore] = [:]
    var sockets: [PortBinding: UDPSocketCore] = [:]
    /// Connection attempts that a handler has not decided yet.
    var undecided: [TCPControlBlock.ID: TCPForwardRequest] = [:]
    /// Connection attempts by peers that are not complete, undecided ones included; and all their connections.
    var halfOpen: SourceQuota
    var passive: SourceQuota
    /// Connections that their users are done with, the oldest first, and how many of these there still are.
    private var closing: Deque<TCPControlBlock> = []
    private var closingCount = 0
    /// Bytes that the windows of all connections may still grow by.
    var windowBudget: Int
    var echoes = EchoTable()
    package private(set) var isShutDown = false

    /// The connection that lwIP has (see `lend`).
    private(set) var current: TCPControlBlock?
    /// The segment that lwIP has, and its data.
    let loan: UnsafeMutablePointer<clwip_loan>
    var lent: ByteBuffer?

    private var depth = 0
    private var touched: [TCPControlBlock] = []
    private var deferred: [() -> Void] = []
    /// Connections that have had several segments at once and owe an acknowledgment for them.
    var owing: [TCPControlBlock] = []
    private var timers = TCPTimers()
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    private let start: NIODeadline

    init(eventLoop: any EventLoop, executor: LoopExecutor, limits: Stack.Limits) throws(NetstackError) {
        self.eventLoop = eventLoop
        start = eventLoop.now
        self.executor = executor
        self.limits = limits
        windowBudget = limits.windowBytes
        halfOpen = SourceQuota(limits.halfOpenConnections)
        passive = SourceQuota(limits.connections)
        loan = .allocate(capacity: 1)
        loan.initialize(to: clwip_loan())
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
        loan.deallocate()
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
            clwip_set_ticks(TCPTimers.ticks(from: start, to: eventLoop.now))
            return try body()
        }
    }

    /// Runs `body` outside of the library. What it sends leaves as one batch.
    package func together(_ body: () -> Void) {
        depth += 1
        body()
        depth -= 1
        if depth == 0 { settle() }
    }

    /// Runs `body` outside of the library, and tells nobody of what comes of it before it has returned: for code that
    /// must hear of nothing meanwhile, like a channel's handler in the middle of an event.
    package func withoutNews<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        depth += 1
        defer {
            depth -= 1
            if depth == 0 {
                if !touched.isEmpty || !deferred.isEmpty { settleSoon() }
                send()
            }
        }
        return try body()
    }

    /// Runs `body` inside the library, with one connection in it; nil if that is gone.
    @discardableResult
    func enter<Result>(_ block: TCPControlBlock, _ body: (UnsafeMutablePointer<tcp_pcb>) -> Result) -> Result? {
        guard block.pcb != nil else { return nil }
        return turn { lend(block, body) }
    }

    /// Lends a connection to lwIP, which has been entered, and sees what has become of it: lwIP finds it without a
    /// search, whichever others there are.
    @discardableResult
    func lend<Result>(_ block: TCPControlBlock, _ body: (UnsafeMutablePointer<tcp_pcb>) -> Result) -> Result? {
        guard let pcb = block.pcb else { return nil }
        clwip_tcp_admit(pcb)
        current = block
        defer {
            current = nil
            let left = clwip_tcp_dismiss()
            if block.libraryLeft(left) {
                timers.add(block, now: eventLoop.now)
            } else {
                forget(block)
                if let left { timeWait.insert(left, block.id, now: eventLoop.now) }
            }
        }
        return body(pcb)
    }

    /// Does to a connection in TIME-WAIT what `body` does, or lets go of it if that frees it.
    func lendTimeWait(_ id: TCPControlBlock.ID, _ body: (UnsafeMutablePointer<tcp_pcb>) -> Void) {
        guard let pcb = timeWait[id] else { return }
        clwip_tcp_admit(pcb)
        body(pcb)
        if clwip_tcp_dismiss() == nil { timeWait.remove(id) }
    }

    /// The data of `packet`, if that is what lwIP was lent.
    func takeLoan(_ packet: UnsafeMutablePointer<pbuf>) -> ByteBuffer? {
        guard clwip_is_loan(loan, packet) != 0, lent?.readableBytes == Int(packet.pointee.tot_len) else { return nil }
        defer { lent = nil }
        return lent
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
        if !touched.isEmpty || !deferred.isEmpty {
            executor.gather(tell)
            // Of what the tasks have done. Others that are ready by now have their turn with what else is on the event loop.
            tell()
        }
        for block in owing {
            enter(block) { if clwip_tcp_delays_acknowledgment($0) != 0 { clwip_tcp_acknowledge($0) } }
        }
        owing.removeAll(keepingCapacity: true)
        depth -= 1
        send()
    }

    private func send() {
        for nic in nics.values { nic.flush() }
        armTimer()
    }

    private func tell() {
        while !touched.isEmpty || !deferred.isEmpty {
            let blocks = touched
            touched.removeAll(keepingCapacity: true)
            for block in blocks { block.deliver() }
            let work = deferred
            deferred.removeAll(keepingCapacity: true)
            for item in work { item() }
        }
    }

    // MARK: Time

    /// Sees to it that the timers run when the next of them is due, and not while none is.
    private func armTimer() {
        guard !isShutDown else { return }
        var next = timers.next
        if let expiry = timeWait.nextExpiry { next = min(next, expiry) }
        if !undecided.isEmpty || nics.values.contains(where: { $0.reassembler.nextExpiry != nil }) {
            next = min(next, eventLoop.now + .milliseconds(500))
        }
        guard next < timerDeadline else { return }
        timer?.cancel()
        timerDeadline = next
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        if timers.isOverdue {
            // In line with what else is on the event loop; a timer would go first.
            timer = nil
            eventLoop.execute { reach.value.tick() }
        } else {
            timer = eventLoop.scheduleTask(deadline: next) { reach.value.tick() }
        }
    }

    private func tick() {
        timer = nil
        timerDeadline = .distantFuture
        let now = eventLoop.now
        for request in undecided.values where request.expiry <= now { request.abandon() }
        turn {
            for block in timers.takeDue(now) {
                lend(block) { pcb in
                    if clwip_tcp_needs_fast_tick(pcb) != 0 { tcp_fasttmr() }
                    clwip_tcp_slow_tick(pcb, TCPTimers.scale)
                }
            }
            while let id = timeWait.first(expiredBy: now, limit: limits.closedConnections) { discardTimeWait(id) }
            for nic in nics.values { expireFragments(of: nic) }
        }
        limitClosing()
    }

    private func discardTimeWait(_ id: TCPControlBlock.ID) { lendTimeWait(id) { tcp_abandon($0, 0) } }

    /// Resets the oldest of the connections that are closed here and that lwIP still finishes.
    private func limitClosing() {
        while let oldest = closing.first, oldest.pcb == nil || closingCount > limits.closedConnections {
            closing.removeFirst()
            if oldest.pcb != nil { oldest.end(.closed, tellPeer: true) }
        }
        if closing.count > 2 * closingCount + 64 { closing.removeAll { $0.pcb == nil } }
    }

    /// The number of connections that are open, opening, or not yet closed on this side.
    var openConnectionCount: Int { connections.count - closingCount }

    func released(_ block: TCPControlBlock) {
        closing.append(block)
        closingCount += 1
        noLongerOpen(block)
    }

    private func noLongerOpen(_ block: TCPControlBlock) {
        if block.isPassive { passive.remove(block.remote.address) }
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
        turn {
            for id in timeWait.ids where id.nic == nic.id { discardTimeWait(id) }
        }
        nic.flush()
        nic.stop()
        nics[nic.id] = nil
        turn { nic.uninstall() }
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
            let bytes = packets.bytes
            var run: TCPSegmentRun?
            packets.forEachRange { input($0, of: bytes, on: nic, after: &run) }
            end(&run, of: bytes, on: nic)
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
        // They hold on to their stack.
        closing.removeAll()
        timers = TCPTimers()
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
            feed(TCPSegmentRun(syn.header, syn.tcp, at: 0..<syn.segment.readableBytes), of: syn.segment, on: syn.nic)
            guard let pcb = clwip_tcp_dismiss() else { return nil }
            let block = TCPControlBlock(pcb, id: syn.id, on: syn.nic, stack: self)
            block.peerAnnounced(syn.tcp)
            connections[syn.id] = block
            halfOpen.add(syn.source.address)
            passive.add(syn.source.address)
            timers.add(block, now: eventLoop.now)
            return block
        }
    }

    func forget(_ block: TCPControlBlock) {
        guard connections[block.id] === block else { return }
        connections[block.id] = nil
        timers.remove(block)
        if block.isHalfOpen { halfOpen.remove(block.remote.address) }
        if block.isReleased { closingCount -= 1 } else { noLongerOpen(block) }
    }
}
