// A NIC: a link on one side, lwIP's netif and the stack's own IP layer on the other.

import CLwIP
import CLwIPSupport
import DequeModule
import NIOCore

/// What a NIC has moved and dropped since it was created.
public struct NICStatistics: Sendable, Hashable {
    /// Packets that the link has delivered.
    public var packetsReceived = 0
    /// Bytes of those packets, with their IP headers.
    public var bytesReceived = 0
    /// Packets that the link has been given.
    public var packetsSent = 0
    /// Bytes of those packets, with their IP headers.
    public var bytesSent = 0
    /// Packets that can't be: bad lengths, versions, checksums, options, addresses.
    public var malformedDropped = 0
    /// Packets to addresses that are not this NIC's, while it is not promiscuous.
    public var misdirectedDropped = 0
    /// Datagrams and control packets that found the link's queue full.
    public var linkFullDropped = 0
    /// Datagrams that found their socket's queue full.
    public var socketFullDropped = 0
    /// Fragments of datagrams that were never completed, overlapped, or exceeded the memory for them.
    public var fragmentsDropped = 0
    /// TCP segments beyond the window that their connection had announced.
    public var windowDropped = 0
    /// TCP segments that acknowledge nothing, what was never sent, or what was long ago.
    public var unacceptableDropped = 0
    /// Connection attempts beyond the limits of connections and of half-open ones.
    public var synDropped = 0
    /// ICMP errors not sent, for there were 1,000 in the last second.
    public var errorsDropped = 0
}

package final class NetworkInterface {
    package let id: NICID
    package let addresses: [IPAddress]
    package let mtu: Int
    /// Whether packets to any address are taken in.
    package let promiscuous: Bool
    /// Whether packets may leave from any address.
    package let spoofing: Bool

    /// lwIP's view of the NIC. Its address is a placeholder from 0/8, which no packet may carry: so no packet is
    /// ever "for the interface itself", a case that aborts the process (ip4_output_if, netif_loop_output).
    let netif: UnsafeMutablePointer<netif>
    private unowned let stack: StackCore
    private let driver: any LinkDriver
    /// What the current turn has produced; it leaves as one batch.
    private var outbound = PacketBatch()
    /// Connections that have had a segment refused, in the order in which the link will take more of them.
    private var refused: Deque<TCPControlBlock> = []
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
        netif = .allocate(capacity: 1)
        netif.initialize(to: CLwIP.netif())
    }

    deinit { netif.deallocate() }

    /// Puts the NIC into lwIP's list. Called inside the instance; `remove` must follow before the NIC goes.
    func install() {
        var placeholder = clwip_ip4(1)
        var mask = clwip_ip4(UInt32.max)
        var none = clwip_ip4(0)
        // The state pointer stays good: the NIC removes itself from the library before it goes.
        netif_add(
            netif, &placeholder.u_addr.ip4, &mask.u_addr.ip4, &none.u_addr.ip4,
            Unmanaged.passUnretained(self).toOpaque(),
            { netif in
                netif?.pointee.output = { netif, packet, _ in NetworkInterface.output(netif, packet) }
                netif?.pointee.output_ip6 = { netif, packet, _ in NetworkInterface.output(netif, packet) }
                return err_t(ERR_OK.rawValue)
            },
            { packet, _ in
                pbuf_free(packet)
                return err_t(ERR_OK.rawValue)
            })
        // lwIP's segments are cut to the NIC's own MTU when they leave.
        netif.pointee.mtu = UInt16.max
        netif.pointee.mtu6 = UInt16.max
        netif_set_link_up(netif)
        netif_set_up(netif)
    }

    func uninstall() { netif_remove(netif) }

    func start() { driver.start(self) }

    func stop() {
        driver.stop()
        linkError = linkError ?? .linkDown(reason: nil)
        linkEndWaiters.resumeAll()
        stopped?()
        stopped = nil
        tcpHandler = nil
        udpHandler = nil
        echoHandler = nil
    }

    /// lwIP's number of the NIC, from 1.
    var index: UInt8 { netif.pointee.num &+ 1 }

    package func owns(_ address: IPAddress) -> Bool { addresses.contains(address) }

    func address(for version: IPVersion) -> IPAddress? { addresses.first { $0.version == version } }

    /// The longest packet on the way to a destination, in bytes.
    func mtu(to destination: IPAddress) -> Int {
        min(mtu, pathMTUs.mtu(to: destination, now: stack.eventLoop.now) ?? mtu)
    }

    /// The longest data of a TCP segment in one packet.
    func maximumSegmentSize(_ version: IPVersion) -> UInt16 { TCPHeader.maximumSegmentSize(version, mtu: mtu) }

    // MARK: Output

    private var backlog: Int { outbound.byteCount + driver.backlog }

    /// Whether data have to wait for the link. Nobody overtakes those that do.
    var isFull: Bool { !isRetrying && !refused.isEmpty || backlog >= linkBacklogLimit }

    /// Lets a connection wait for the link to take more.
    func enqueue(_ block: TCPControlBlock) {
        guard !block.isRefused else { return }
        block.isRefused = true
        refused.append(block)
    }

    /// lwIP's output callback, for both versions: `packet` is a whole IP packet.
    private static func output(_ netif: UnsafeMutablePointer<netif>?, _ packet: UnsafeMutablePointer<pbuf>?) -> err_t {
        guard let state = netif?.pointee.state, let packet else { return err_t(ERR_ARG.rawValue) }
        return Unmanaged<NetworkInterface>.fromOpaque(state)._withUnsafeGuaranteedRef { $0.send(packet) }
    }

    /// Refusing a segment with data leaves it in lwIP's queue, to be tried again when the link has drained: that is
    /// how a slow link makes TCP writers wait. Acknowledgments and resets may exceed the limit, but not by much.
    private func send(_ packet: UnsafeMutablePointer<pbuf>) -> err_t {
        let version = packet.pointee.payload.load(as: UInt8.self) >> 4 == 6 ? IPVersion.v6 : .v4
        let own = maximumSegmentSize(version)
        let length = stack.current?.maximumSegmentSize ?? own
        let shape = clwip_support_shape(packet, length)
        if shape.data > 0 && isFull || backlog >= 2 * linkBacklogLimit {
            if let block = stack.current { enqueue(block) }
            return err_t(ERR_WOULDBLOCK.rawValue)
        }
        let (count, header) = (Int(shape.count), Int(shape.header))
        outbound.append(count: count, length: header + Int(length), total: count * header + Int(shape.data)) {
            clwip_support_write_packets(
                packet, shape, length, own, StackCore.windowScale, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        return err_t(ERR_OK.rawValue)
    }

    /// Sends one packet of our own making, or drops and counts it when the link is full.
    func send(_ write: (inout ByteBuffer) -> Void) {
        guard backlog < linkBacklogLimit else { return statistics.linkFullDropped += 1 }
        outbound.append(write)
    }

    /// Sends a packet of our own making, in fragments if it is longer than the MTU.
    func sendFragmenting(_ packet: ByteBuffer) {
        guard backlog < linkBacklogLimit else { return statistics.linkFullDropped += 1 }
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan) else { return }
        fragmenter.append(packet, header, mtu: mtu(to: header.destination), to: &outbound)
    }

    /// Hands what has been sent in this turn to the link.
    func flush() {
        guard !outbound.isEmpty else { return }
        statistics.packetsSent += outbound.count
        statistics.bytesSent += outbound.byteCount
        if linkError == nil { driver.send(outbound) }
        outbound = PacketBatch(capacity: outbound.byteCount)
        if !isRetrying { retryIfDrained() }
    }

    /// The link may have drained between a refusal and the batch that followed, and then has nothing to tell.
    private func retryIfDrained() {
        guard !refused.isEmpty, driver.backlog < linkBacklogLimit else { return }
        let reach = NIOLoopBound(self, eventLoop: stack.eventLoop)
        stack.eventLoop.execute { reach.value.linkDrained() }
    }
}

extension NetworkInterface: LinkReceiver {
    package func linkReceived(_ packets: PacketBatch) {
        statistics.packetsReceived += packets.count
        statistics.bytesReceived += packets.byteCount
        stack.receive(packets, on: self)
    }

    package func linkDrained() {
        guard linkError == nil, !refused.isEmpty else { return }
        isRetrying = true
        // Each in a turn of its own, in which its writer goes on: what it adds leaves while it is in the cache.
        for _ in refused {
            guard backlog < linkBacklogLimit, let block = refused.popFirst() else { break }
            block.isRefused = false
            stack.enter(block) { tcp_output($0) }
        }
        isRetrying = false
        retryIfDrained()
    }

    package func linkEnded(_ error: (any Error)?) {
        let reason = error.map { "\($0)" }
        let failure = NetstackError.linkDown(reason: reason)
        linkError = failure
        stack.linkEnded(of: self, failure)
        linkEndWaiters.resumeAll(error == nil ? .success(()) : .failure(failure))
    }
}
