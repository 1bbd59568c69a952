// The stack itself, on its event loop: NICs, routes, tables, and the rule by which work is done.

import DequeModule
package import NIOCore

/// A stack without its actor. Everything here runs on `eventLoop`; nothing here waits.
///
/// Work is done in turns. In a turn TCP is entered and only takes note of what happens to connections; after it has been
/// left, each connection that something happened to is told once; then what was sent leaves in one batch a NIC.
package final class StackCore {
    package let eventLoop: any EventLoop
    let executor: LoopExecutor
    let limits: Stack.Limits
    let engine: any TCPEngine

    private(set) var nics: [NICID: NetworkInterface] = [:]
    /// Those that are being removed.
    private var leaving: Set<NICID> = []
    private(set) var routes = RoutingTable()
    /// Open, opening, and closing.
    var connections: [TCPControlBlock.ID: TCPControlBlock] = [:]
    var listeners: [PortBinding: TCPListenerCore] = [:]
    var sockets: [PortBinding: UDPSocketCore] = [:]
    /// Connection attempts that nobody has decided on yet.
    var undecided: [TCPControlBlock.ID: TCPForwardRequest] = [:]
    /// Connection attempts by peers that are not complete; and these with all their connections. Undecided ones count.
    var halfOpen: SourceQuota
    var passive: SourceQuota
    /// Connections that their users are done with, the oldest first, and how many of these there still are.
    private var closing: Deque<TCPControlBlock> = []
    private var closingCount = 0
    var echoes = EchoTable()
    package private(set) var isShutDown = false

    private var depth = 0
    private var touched: [TCPControlBlock] = []
    private var deferred: [() -> Void] = []
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture

    init(
        eventLoop: any EventLoop, executor: LoopExecutor, limits: Stack.Limits, tcp: TCPImplementation
    ) throws(NetstackError) {
        self.eventLoop = eventLoop
        self.executor = executor
        self.limits = limits
        halfOpen = SourceQuota(limits.halfOpenConnections)
        passive = SourceQuota(limits.connections)
        FreedMemory.keep
        engine = try tcp.makeEngine(eventLoop, limits)
    }

    // MARK: Turns

    /// Runs `body` inside TCP. The outermost turn ends by telling and sending what came of it.
    package func turn<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        beginTurn()
        defer { endTurn() }
        return try body()
    }

    /// As `turn`, for a TCP in another module, where what is generic is slow.
    package func beginTurn() {
        eventLoop.assertInEventLoop()
        depth += 1
        engine.enter()
    }

    package func endTurn() {
        engine.leave()
        depth -= 1
        if depth == 0 { settle() }
    }

    /// Runs `body` outside of TCP. What it sends leaves as one batch.
    package func together(_ body: () -> Void) {
        depth += 1
        body()
        depth -= 1
        if depth == 0 { settle() }
    }

    /// Runs `body` outside of TCP, and tells nobody of what comes of it before it has returned: for code that
    /// must hear of nothing meanwhile, like a channel's handler in the middle of an event.
    package func withoutNews<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        depth += 1
        defer {
            if depth == 1 { engine.settle() }
            depth -= 1
            if depth == 0 {
                if !touched.isEmpty || !deferred.isEmpty { settleSoon() }
                send()
            }
        }
        return try body()
    }

    /// Remembers that a connection has news.
    func touch(_ block: TCPControlBlock) {
        touched.append(block)
        if depth == 0 { settleSoon() }
    }

    /// Does something after TCP has been left.
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
        engine.settle()
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
        let wanted = engine.nextDeadline
        var next = wanted
        if !undecided.isEmpty || nics.values.contains(where: { $0.reassembler.nextExpiry != nil }) {
            next = min(next, eventLoop.now + .milliseconds(500))
        }
        guard next < timerDeadline else { return }
        timer?.cancel()
        timerDeadline = next
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        if wanted == .distantPast {
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
            engine.timersDue(now: now)
            for nic in nics.values { expireFragments(of: nic) }
        }
        limitClosing()
    }

    /// Resets the oldest of the connections that are closed here and that TCP still finishes.
    private func limitClosing() {
        while closingCount > limits.closedConnections, let oldest = closing.popFirst() {
            if !oldest.isGone { oldest.end(.closed, tellPeer: true) }
        }
    }

    /// The number of connections that are open, opening, or not yet closed on this side.
    package var openConnectionCount: Int { connections.count - closingCount }

    /// The bytes that may be on their way in each direction of a connection at first: most carry little.
    package static let initialWindow = 256 << 10

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
        guard nics[id] == nil, !leaving.contains(id) else { throw .nicExists(id) }
        guard nics.count < Stack.maximumNICs else { throw .limitReached(what: "NICs", limit: Stack.maximumNICs) }
        guard Stack.mtuRange.contains(mtu) else { throw .mtuOutOfRange(mtu, range: Stack.mtuRange) }
        for address in addresses {
            if let reason = address.whyNotUnicast { throw .addressNotAvailable(address, reason: reason) }
        }
        let nic = NetworkInterface(
            id: id, stack: self, driver: driver, addresses: addresses, mtu: mtu, promiscuous: promiscuous,
            spoofing: spoofing)
        turn { engine.add(nic) }
        nics[id] = nic
        nic.start()
        return nic
    }

    func removeNIC(_ id: NICID) throws(NetstackError) {
        guard let nic = nics[id] else { throw .noSuchNIC(id) }
        remove(nic, .linkDown(reason: "\(id) was removed"))
    }

    private func remove(_ nic: NetworkInterface, _ error: NetstackError) {
        // First: whoever hears of the end must not connect by it again.
        nics[nic.id] = nil
        leaving.insert(nic.id)
        endConnections(of: nic, error, tellPeer: true)
        routes.removeAll(via: nic.id)
        nic.flush()
        nic.stop()
        turn { engine.remove(nic) }
        leaving.remove(nic.id)
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
            let bytes = packets.bytes
            var run: TCPSegmentRun?
            packets.forEachRange { input($0, of: bytes, on: nic, after: &run) }
            end(&run, of: bytes, on: nic)
        }
    }

    func receive(_ segments: [OffloadedSegment], on nic: NetworkInterface) {
        turn {
            for segment in segments {
                var run: TCPSegmentRun?
                input(
                    0..<segment.header.readableBytes, of: segment.header, on: nic, after: &run, count: segment.count)
                run?.carry(segment)
                end(&run, of: segment.header, on: nic)
            }
        }
    }

    func linkEnded(of nic: NetworkInterface, _ error: NetstackError) {
        endConnections(of: nic, error, tellPeer: false)
    }

    /// Attempts first: whoever hears of the end of a connection must not accept one.
    private func endConnections(of nic: NetworkInterface, _ error: NetstackError, tellPeer: Bool) {
        for request in undecided.values where request.nic === nic { request.abandon() }
        for block in connections.values where block.id.nic == nic.id { block.end(error, tellPeer: tellPeer) }
    }

    // MARK: The end

    /// Ends everything with an error and frees it. What is told to peers still leaves.
    func shutDown() {
        guard !isShutDown else { return }
        // First: whoever hears of the end must not connect again.
        isShutDown = true
        for block in connections.values { block.end(.stackShutDown, tellPeer: true) }
        // They hold on to their stack.
        closing.removeAll()
        for nic in nics.values { remove(nic, .stackShutDown) }
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
    /// Keeps a SYN until somebody has decided about it. It counts at once: a batch may bring any number.
    func hold(_ request: TCPForwardRequest) {
        undecided[request.id] = request
        halfOpen.add(request.source.address)
        passive.add(request.source.address)
    }

    /// Lets go of a SYN that has been decided on.
    func release(_ request: TCPForwardRequest) {
        guard undecided[request.id] === request else { return }
        undecided[request.id] = nil
        halfOpen.remove(request.source.address)
        passive.remove(request.source.address)
    }

    /// Answers a SYN that has been decided on, and takes over the connection that comes of it.
    func accept(_ syn: TCPForwardRequest) -> TCPControlBlock? {
        turn {
            // Meanwhile this end may have dialled with the same four-tuple.
            guard connections[syn.id] == nil, !engine.isInTimeWait(syn.id) else {
                let run = TCPSegmentRun(syn.header, syn.tcp, at: 0..<syn.segment.readableBytes)
                engine.receive(run, of: syn.segment, for: connections[syn.id], on: syn.nic)
                return nil
            }
            guard let block = engine.accept(syn) else { return nil }
            connections[syn.id] = block
            halfOpen.add(syn.source.address)
            passive.add(syn.source.address)
            return block
        }
    }

    func forget(_ block: TCPControlBlock) {
        guard connections[block.id] === block else { return }
        connections[block.id] = nil
        if block.isHalfOpen { halfOpen.remove(block.remote.address) }
        guard block.isReleased else { return noLongerOpen(block) }
        closingCount -= 1
        while closing.first?.isGone == true { closing.removeFirst() }
        // Those behind one that takes its time.
        if closing.count > 2 * closingCount + 64 { closing.removeAll { $0.isGone } }
    }
}
