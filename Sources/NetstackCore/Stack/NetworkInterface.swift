// A NIC: a link on one side, the stack's TCP and its own IP layer on the other.

import DequeModule
package import NIOCore

package final class NetworkInterface {
    package let id: NICID
    package let addresses: [IPAddress]
    package let mtu: Int
    /// Whether packets to any address are taken in.
    package let promiscuous: Bool
    /// Whether packets may leave from any address.
    package let spoofing: Bool

    unowned let stack: StackCore
    private let driver: any LinkDriver
    /// What the current turn has produced; it leaves as one batch: of packets or of segments, whichever came last, for what
    /// was before has left.
    private var outbound = PacketBatch()
    private var segments: [OffloadedSegment] = []
    private var segmentByteCount = 0
    /// Of the last batch of packets, in bytes. What a full link has left and what acknowledgments have brought take turns, and
    /// a batch that grows is copied.
    private var lastBatchLength = 0
    /// Connections that wait for the link, in the order in which it will take more of them.
    private var refused: Deque<TCPControlBlock> = []
    /// Connections that have had a turn while others waited, and wait for those to have theirs.
    private var served: Deque<TCPControlBlock> = []
    /// Until when the link counts as one at which connections take turns.
    private var sharedUntil = NIODeadline.distantPast
    private var isRetrying = false
    private var fragmenter = Fragmenter()
    var reassembler: Reassembler
    var pathMTUs = PathMTUTable()
    var errors = RateLimit()
    package var statistics = NICStatistics()
    /// Called for connection attempts and datagrams that nothing in the stack is bound to.
    package var tcpHandler: ((TCPForwardRequest) -> Void)?
    package var udpHandler: ((UDPDatagram, IPHeader) -> Void)?
    /// Called for echo requests to addresses that are not the NIC's own.
    package var echoHandler: ((ICMPEcho, IPHeader) -> Void)?
    /// Called when the NIC is removed.
    package var stopped: (() -> Void)?
    package private(set) var linkError: NetstackError?
    let linkEndWaiters: LoopWaiters
    /// Those who wait for the link to take more datagrams, and whether they were last before connections.
    let roomWaiters: LoopWaiters
    private var waitingSockets: [UDPSocketCore] = []
    private var datagramsGoFirst = false

    init(
        id: NICID, stack: StackCore, driver: any LinkDriver, addresses: [IPAddress], mtu: Int, promiscuous: Bool,
        spoofing: Bool
    ) {
        self.id = id
        self.stack = stack
        self.driver = driver
        self.addresses = addresses
        self.mtu = mtu
        self.promiscuous = promiscuous
        self.spoofing = spoofing
        reassembler = Reassembler(limit: stack.limits.reassemblyBytes)
        linkEndWaiters = LoopWaiters(executor: stack.executor)
        roomWaiters = LoopWaiters(executor: stack.executor)
    }

    func start() { driver.start(self) }

    func stop() {
        driver.stop()
        linkError = linkError ?? .linkDown(reason: nil)
        linkEndWaiters.resumeAll()
        resumeDatagrams()
        (refused, served) = ([], [])
        stopped?()
        stopped = nil
        tcpHandler = nil
        udpHandler = nil
        echoHandler = nil
    }

    package func owns(_ address: IPAddress) -> Bool { addresses.contains(address) }

    func address(for version: IPVersion) -> IPAddress? { addresses.first { $0.version == version } }

    /// The longest packet on the way to a destination, in bytes.
    package func mtu(to destination: IPAddress) -> Int {
        min(mtu, pathMTUs.mtu(to: destination, now: stack.eventLoop.now) ?? mtu)
    }

    /// The longest data of a TCP segment in one packet.
    package func maximumSegmentSize(_ version: IPVersion) -> UInt16 { TCPHeader.maximumSegmentSize(version, mtu: mtu) }

    // MARK: Output

    private var backlog: Int { outbound.byteCount + segmentByteCount + driver.backlog }

    /// Whether a packet of our own making may leave, and is not dropped.
    var hasRoom: Bool { backlog < linkBacklogLimit }

    /// Whether data have to wait for the link. Nobody overtakes those that do.
    private var isFull: Bool { !isRetrying && !refused.isEmpty || !hasRoom }

    /// Whether a connection may write data; if not, it waits for the link from now on. In one look: the link may drain
    /// meanwhile, on another thread, and tells so only those that wait.
    ///
    /// - Parameter turnLength: bytes that it writes at a time while others wait.
    package func admits(writesOf block: TCPControlBlock, turnLength: Int = .max) -> Bool {
        if isFull {
            enqueue(block)
        } else if block.turnByteCount >= turnLength {
            endTurn(of: block)
        }
        return !block.isRefused
    }

    /// Whatever its window: by itself, a connection with a large one would fill the link before others have written.
    private func endTurn(of block: TCPControlBlock) {
        block.turnByteCount = 0
        guard !block.isRefused, stack.eventLoop.now < sharedUntil else { return }
        block.isRefused = true
        served.append(block)
        // A link that is not full has nothing to tell.
        if served.count == 1 { later { if $0.hasRoom { $0.linkDrained() } } }
    }

    /// Lets a connection wait for the link to take more.
    package func enqueue(_ block: TCPControlBlock) {
        guard !block.isRefused else { return }
        block.isRefused = true
        refused.append(block)
        if refused.count > 1 { sharedUntil = stack.eventLoop.now + .seconds(1) }
    }

    /// Lets a socket wait for the link to take more datagrams.
    func enqueue(_ socket: UDPSocketCore) {
        guard !socket.waitsForLink else { return }
        socket.waitsForLink = true
        waitingSockets.append(socket)
    }

    private var datagramsWait: Bool { !roomWaiters.isEmpty || !waitingSockets.isEmpty }

    private func resumeDatagrams() {
        roomWaiters.resumeAll()
        let sockets = waitingSockets
        waitingSockets = []
        for socket in sockets { socket.linkDrained() }
    }

    /// Whether a segment may leave. Those with data that may not are tried again when the link has drained: that is how a
    /// slow link makes TCP writers wait. Acknowledgments and resets may exceed the limit, but not by much.
    package func admits(dataCount: Int) -> Bool { !(dataCount > 0 && isFull) && backlog < 2 * linkBacklogLimit }

    /// Sends a segment that has been admitted, in `count` packets of `length` bytes each, the last of them shorter, `total`
    /// bytes in all, which `write` fills.
    package func send(count: Int, length: Int, total: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void) {
        flushSegments()
        outbound.append(count: count, length: length, total: total, write)
    }

    /// Whether the link carries segments that have not been cut to packets.
    package var carriesSegments: Bool { driver.carriesSegments }

    /// Whether a segment with so many bytes of data is to be sent as an `OffloadedSegment`. Behind others, short ones are: a
    /// packet would go by itself.
    package func offloads(dataCount: Int) -> Bool {
        (dataCount >= OffloadedSegment.minimumLength || dataCount > 0 && !segments.isEmpty) && carriesSegments
    }

    /// Sends a segment that has been admitted, and that the NIC offloads.
    package func send(_ segment: OffloadedSegment) {
        flushPackets()
        segments.append(segment)
        segmentByteCount += segment.byteCount
        statistics.packetsSent += segment.count
        statistics.bytesSent += segment.byteCount
    }

    /// Sends one packet of our own making, or drops and counts it when the link is full.
    package func send(_ write: (inout ByteBuffer) -> Void) {
        guard hasRoom else { return statistics.drop(.linkFull) }
        flushSegments()
        outbound.append(write)
    }

    /// Sends a packet of our own making, in fragments if it is longer than the MTU.
    func sendFragmenting(_ packet: ByteBuffer) {
        guard hasRoom else { return statistics.drop(.linkFull) }
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan) else { return }
        flushSegments()
        fragmenter.append(packet, header, mtu: mtu(to: header.destination), to: &outbound)
    }

    /// Hands what has been sent in this turn to the link.
    func flush() {
        flushPackets()
        flushSegments()
        if !isRetrying { retryIfDrained() }
    }

    private func flushPackets() {
        guard !outbound.isEmpty else { return }
        let byteCount = outbound.byteCount
        statistics.packetsSent += outbound.count
        statistics.bytesSent += byteCount
        if linkError == nil { driver.send(outbound) }
        outbound = PacketBatch(capacity: max(byteCount, lastBatchLength))
        lastBatchLength = byteCount
    }

    private func flushSegments() {
        guard !segments.isEmpty else { return }
        if linkError == nil { driver.send(segments) }
        segments = []
        segmentByteCount = 0
    }

    /// The link may have drained between a refusal and the batch that followed, and then has nothing to tell.
    private func retryIfDrained() {
        guard !refused.isEmpty || datagramsWait, driver.backlog < linkBacklogLimit else { return }
        later { $0.linkDrained() }
    }

    private func later(_ work: @escaping @Sendable (NetworkInterface) -> Void) {
        let reach = NIOLoopBound(self, eventLoop: stack.eventLoop)
        stack.eventLoop.execute { work(reach.value) }
    }
}

extension NetworkInterface: LinkReceiver {
    package func linkReceived(_ packets: PacketBatch) {
        statistics.packetsReceived += packets.count
        statistics.bytesReceived += packets.byteCount
        stack.receive(packets, on: self)
    }

    package var takesSegments: Bool { true }

    package func together(_ body: () -> Void) { stack.together(body) }

    package func linkReceived(_ segments: [OffloadedSegment]) {
        for segment in segments {
            statistics.packetsReceived += segment.count
            statistics.bytesReceived += segment.byteCount
        }
        stack.receive(segments, on: self)
    }

    package func linkDrained() {
        if datagramsWait {
            resumeDatagrams()
            // Those of tasks come after connections, which would leave them no room: so every other time these wait.
            datagramsGoFirst.toggle()
            if datagramsGoFirst { return later { $0.retryRefused() } }
        }
        retryRefused()
    }

    private func retryRefused() {
        refused.append(contentsOf: served)
        served.removeAll(keepingCapacity: true)
        guard linkError == nil, !refused.isEmpty else { return }
        isRetrying = true
        // Each in a turn of its own, in which its writer goes on: what it adds leaves while it is in the cache.
        for _ in refused {
            guard hasRoom, let block = refused.popFirst() else { break }
            block.turnByteCount = 0
            block.linkDrained()
        }
        isRetrying = false
        retryIfDrained()
    }

    package func linkEnded(_ error: (any Error)?) {
        let reason = error.map { "\($0)" }
        let failure = NetstackError.linkDown(reason: reason)
        linkError = failure
        stack.linkEnded(of: self, failure)
        (refused, served) = ([], [])
        resumeDatagrams()
        linkEndWaiters.resumeAll(error == nil ? .success(()) : .failure(failure))
    }
}
