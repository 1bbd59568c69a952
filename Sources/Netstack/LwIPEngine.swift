// lwIP as the TCP of one stack: it is lent one connection at a time, and finds it without a search.

import CLwIP
import NIOCore
import NetstackCore

/// A stack's share of lwIP, and what lwIP has of that stack.
final class LwIPEngine: TCPEngine {
    /// What its SYNs announce (RFC 7323 section 2.2): windows to 8 MiB.
    static let windowScale: UInt8 = 7

    private let eventLoop: any EventLoop
    private let library: LwIPInstance
    private let start: NIODeadline
    /// When the library was entered: to ask for the time again within a call would cost a round trip 1 %.
    private(set) var now: NIODeadline
    private let closedConnections: Int
    /// Bytes that the windows of all connections may grow by together, and what is left of them.
    let windowBytes: Int
    var windowBudget: Int
    /// Takes in every connection, whichever address and port it is for (see `accept`).
    private let acceptor: UnsafeMutablePointer<tcp_pcb>
    private var interfaces: [NICID: LwIPInterface] = [:]
    private var timeWait = TimeWaitTable()
    private var timers = TCPTimers()
    /// Connections that have had several segments at once and owe an acknowledgment for them.
    private var owing: [LwIPConnection] = []

    /// The connection that lwIP has (see `lend`).
    private(set) var current: LwIPConnection?
    /// The segment that lwIP has, and its data.
    private let loan: UnsafeMutablePointer<clwip_loan>
    private var lent: ByteBuffer?

    /// - Throws: `NetstackError.incompatibleLibrary`.
    init(on eventLoop: any EventLoop, limits: Stack.Limits) throws(NetstackError) {
        self.eventLoop = eventLoop
        start = eventLoop.now
        now = start
        closedConnections = limits.closedConnections
        windowBytes = max(limits.windowBytes, 0)
        windowBudget = windowBytes
        let library = try LwIPInstance()
        self.library = library
        library.enter()
        defer { library.leave() }
        guard let acceptor = clwip_tcp_listen(tcp_new_ip_type(UInt8(IPADDR_TYPE_ANY.rawValue))) else {
            throw .library(operation: "a new listener", code: Int(ERR_MEM.rawValue))
        }
        self.acceptor = acceptor
        loan = .allocate(capacity: 1)
        loan.initialize(to: clwip_loan())
        tcp_accept(acceptor) { argument, _, _ in
            // The argument is the connection's own: `accept` has set it before the handshake went on.
            LwIPConnection.opened(argument)
            return err_t(ERR_OK.rawValue)
        }
    }

    deinit {
        library.enter()
        tcp_close(acceptor)
        library.leave()
        loan.deallocate()
    }

    // MARK: Turns

    func enter() {
        library.enter()
        now = eventLoop.now
        clwip_set_ticks(TCPTimers.ticks(from: start, to: now))
    }

    func leave() { library.leave() }

    func settle() {
        guard !owing.isEmpty else { return }
        for connection in owing {
            connection.enter { if clwip_tcp_delays_acknowledgment($0) != 0 { clwip_tcp_acknowledge($0) } }
        }
        owing.removeAll(keepingCapacity: true)
    }

    /// Lends a connection to lwIP, which has been entered, and sees what has become of it.
    @discardableResult
    func lend<Result>(
        _ connection: LwIPConnection, of block: TCPControlBlock, _ body: (UnsafeMutablePointer<tcp_pcb>) -> Result
    ) -> Result? {
        guard let pcb = connection.pcb else { return nil }
        clwip_tcp_admit(pcb)
        current = connection
        defer {
            current = nil
            let left = clwip_tcp_dismiss()
            if connection.libraryLeft(left, of: block) {
                timers.add(connection, now: now)
            } else {
                timers.remove(connection)
                block.ended()
                if let left { timeWait.insert(left, block.id, now: now) }
            }
        }
        return body(pcb)
    }

    /// Does to a connection in TIME-WAIT what `body` does, or lets go of it if that frees it.
    private func lendTimeWait(_ id: TCPControlBlock.ID, _ body: (UnsafeMutablePointer<tcp_pcb>) -> Void) {
        guard let pcb = timeWait[id] else { return }
        clwip_tcp_admit(pcb)
        body(pcb)
        if clwip_tcp_dismiss() == nil { timeWait.remove(id) }
    }

    // MARK: NICs

    func add(_ nic: NetworkInterface) { interfaces[nic.id] = LwIPInterface(nic, engine: self) }

    func remove(_ nic: NetworkInterface) {
        for id in timeWait.ids where id.nic == nic.id { forget(id) }
        interfaces.removeValue(forKey: nic.id)?.remove()
    }

    // MARK: Connections

    func connect(_ id: TCPControlBlock.ID, on nic: NetworkInterface) throws(NetstackError) -> TCPControlBlock {
        let version = id.remote.address.version
        guard let interface = interfaces[nic.id],
            let pcb = tcp_new_ip_type(UInt8((version == .v4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6).rawValue))
        else { throw .library(operation: "a new connection", code: Int(ERR_MEM.rawValue)) }
        var destination = interface.address(id.remote.address)
        pcb.pointee.local_ip = interface.address(id.local.address)
        pcb.pointee.local_port = id.local.port
        pcb.pointee.netif_idx = interface.index
        let block = takeOver(pcb, id, on: interface)
        let code = tcp_connect(pcb, &destination, id.remote.port) { argument, _, _ in
            LwIPConnection.opened(argument)
            return err_t(ERR_OK.rawValue)
        }
        guard code == 0 else {
            tcp_abandon(pcb, 0)
            throw .library(operation: "a connect", code: Int(code))
        }
        // It stands in lwIP's list: taken back as if it had been lent.
        lend(block.lwIP, of: block) { _ in }
        return block
    }

    /// lwIP sees one listener for all: it is lent the port and the NIC of the SYN for as long as that is processed.
    func accept(_ syn: TCPForwardRequest) -> TCPControlBlock? {
        guard let interface = interfaces[syn.nic.id] else { return nil }
        acceptor.withMemoryRebound(to: tcp_pcb_listen.self, capacity: 1) {
            $0.pointee.local_port = syn.destination.port
            $0.pointee.netif_idx = interface.index
        }
        defer { acceptor.withMemoryRebound(to: tcp_pcb_listen.self, capacity: 1) { $0.pointee.local_port = 0 } }
        give(TCPSegmentRun(syn.header, syn.tcp, at: 0..<syn.segment.readableBytes), of: syn.segment, on: interface)
        guard let pcb = clwip_tcp_dismiss() else { return nil }
        let block = takeOver(pcb, syn.id, on: interface)
        block.lwIP.peerAnnounced(syn.tcp, syn.header.version)
        timers.add(block.lwIP, now: now)
        return block
    }

    private func takeOver(
        _ pcb: UnsafeMutablePointer<tcp_pcb>, _ id: TCPControlBlock.ID, on interface: LwIPInterface
    ) -> TCPControlBlock {
        let connection = LwIPConnection(pcb, to: id.remote.address, on: interface, engine: self)
        let block = TCPControlBlock(
            id, on: interface.nic, isPassive: pcb.pointee.state == SYN_RCVD, transport: connection)
        connection.belongs(to: block)
        return block
    }

    // MARK: Segments

    func receive(
        _ run: TCPSegmentRun, of batch: ByteBuffer, for block: TCPControlBlock?, on nic: NetworkInterface
    ) {
        guard let block, let pcb = block.lwIP.pcb else { return receive(run, of: batch, on: nic) }
        let connection = block.lwIP
        let length = UInt32(truncatingIfNeeded: run.segmentLength)
        let verdict = clwip_tcp_judge(
            pcb, run.flags.rawValue, run.tcp.sequenceNumber, length, run.acknowledgmentNumber)
        switch verdict {
        case clwip_tcp_take: break
        case clwip_tcp_abort:
            lend(connection, of: block) { tcp_abandon($0, 1) }
            return nic.statistics.drop(.closed, count: run.count)
        default:
            nic.statistics.drop(reason(for: run, length, pcb), count: run.count)
            if verdict == clwip_tcp_acknowledge_only || verdict == clwip_tcp_challenge && connection.mayChallenge() {
                lend(connection, of: block, clwip_tcp_acknowledge)
            }
            return
        }
        switch clwip_tcp_may_receive(pcb, run.tcp.sequenceNumber, length) {
        case clwip_tcp_exceeds_window: return nic.statistics.drop(.window, count: run.count)
        case clwip_tcp_exceeds_queue: return nic.statistics.drop(.outOfOrder, count: run.count)
        default: break
        }
        if run.tcp.flags.contains(.syn), block.isOpening { connection.peerAnnounced(run.tcp, run.ip.version) }
        let isNext = length == 0 || clwip_tcp_is_next(pcb, run.tcp.sequenceNumber, length) != 0
        let interface = connection.interface
        lend(connection, of: block) { _ in
            isNext ? lend(run, of: batch, on: interface) : give(run, of: batch, on: interface)
        }
        // RFC 5681 section 4.2: at least every second segment is acknowledged, and lwIP counts runs.
        if run.count > 1 { owing.append(connection) }
    }

    /// Why `clwip_tcp_judge` does not let lwIP see a segment.
    private func reason(
        for run: TCPSegmentRun, _ length: UInt32, _ pcb: UnsafeMutablePointer<tcp_pcb>
    ) -> DropReason {
        if run.flags.contains(.rst) { return .reset }
        if run.flags.contains(.syn) { return .synchronized }
        guard clwip_tcp_is_acceptable(pcb, run.tcp.sequenceNumber, length) == 0 else { return .acknowledgment }
        guard length > 0 else { return .sequence }
        return Int32(bitPattern: run.tcp.sequenceNumber &- pcb.pointee.rcv_nxt) < 0 ? .duplicate : .window
    }

    /// Takes in what is of no connection: at most of one in TIME-WAIT.
    private func receive(_ run: TCPSegmentRun, of batch: ByteBuffer, on nic: NetworkInterface) {
        guard let interface = interfaces[nic.id] else { return }
        let id = run.connection(on: nic)
        guard timeWait[id] != nil else {
            nic.statistics.drop(.noConnection, count: run.count)
            return give(run, of: batch, on: interface)
        }
        // RFC 5961 section 4.2. lwIP answers a SYN in the window with a reset.
        if run.flags.contains(.syn), !run.flags.contains(.rst) {
            nic.statistics.drop(.synchronized)
            lendTimeWait(id, clwip_tcp_acknowledge)
        } else {
            lendTimeWait(id) { _ in give(run, of: batch, on: interface) }
        }
    }

    /// Passes a run without a copy: what is next in order goes through lwIP and comes out (see `takeLoan`).
    private func lend(_ run: TCPSegmentRun, of batch: ByteBuffer, on interface: LwIPInterface) {
        var from = interface.address(run.ip.source)
        var to = interface.address(run.ip.destination)
        withUnsafeMutableBytes(of: &loan.pointee.bytes) { run.writeHeader(from: batch.readableBytesSpan, to: $0) }
        let data = run.joinedData(from: batch)
        lent = data
        // Good for as long as the call takes: lwIP keeps nothing of what is next in order, and writes to no data.
        data.withUnsafeReadableBytes {
            let packet = clwip_lend(loan, UInt16(run.header.count), $0.baseAddress, UInt16($0.count))
            clwip_tcp_input(packet, interface.netif, &from, &to)
        }
        lent = nil
    }

    /// The data of `packet`, if that is what lwIP was lent.
    func takeLoan(_ packet: UnsafeMutablePointer<pbuf>) -> ByteBuffer? {
        guard clwip_is_loan(loan, packet) != 0, lent?.readableBytes == Int(packet.pointee.tot_len) else { return nil }
        defer { lent = nil }
        return lent
    }

    /// Passes a copy that lwIP may keep. Its pbuf must not be a `PBUF_POOL` one: those overflow in Debian's build.
    private func give(_ run: TCPSegmentRun, of batch: ByteBuffer, on interface: LwIPInterface) {
        var from = interface.address(run.ip.source)
        var to = interface.address(run.ip.destination)
        let headerLength = run.header.count
        guard let length = UInt16(exactly: headerLength + run.byteCount),
            let packet = pbuf_alloc(PBUF_RAW, length, PBUF_RAM)
        else { return }
        let bytes = UnsafeMutableRawBufferPointer(start: packet.pointee.payload, count: Int(length))
        run.writeHeader(from: batch.readableBytesSpan, to: bytes)
        run.joinedData(from: batch).withUnsafeReadableBytes {
            UnsafeMutableRawBufferPointer(rebasing: bytes[headerLength...]).copyMemory(from: $0)
        }
        // Resets to segments of no connection leave through the default interface.
        clwip_set_default_netif(interface.netif)
        clwip_tcp_input(packet, interface.netif, &from, &to)
    }

    // MARK: TIME-WAIT

    func isInTimeWait(_ id: TCPControlBlock.ID) -> Bool { timeWait[id] != nil }

    func yieldTimeWait(to syn: TCPForwardRequest) -> Bool {
        guard let old = timeWait[syn.id] else { return true }
        guard Int32(bitPattern: syn.sequenceNumber &- old.pointee.rcv_nxt) > 0 else { return false }
        forget(syn.id)
        return true
    }

    private func forget(_ id: TCPControlBlock.ID) { lendTimeWait(id) { tcp_abandon($0, 0) } }

    // MARK: Time

    var nextDeadline: NIODeadline { min(timers.next, timeWait.nextExpiry ?? .distantFuture) }

    func timersDue(now: NIODeadline) {
        for connection in timers.takeDue(now) {
            guard let block = connection.block else { continue }
            // Some time after something was sent or received, and not for each.
            connection.shrink()
            lend(connection, of: block) { pcb in
                if clwip_tcp_needs_fast_tick(pcb) != 0 { tcp_fasttmr() }
                clwip_tcp_slow_tick(pcb, TCPTimers.scale)
            }
        }
        while let id = timeWait.first(expiredBy: now, limit: closedConnections) { forget(id) }
    }
}

extension TCPControlBlock {
    /// The blocks of a stack over lwIP are all of its engine's making.
    fileprivate var lwIP: LwIPConnection { unsafeDowncast(transport, to: LwIPConnection.self) }
}
