// Forwards datagrams that arrive on a NIC to real UDP sockets of this host, and back.

public import Logging
import NIOCore
import NIOPosix
public import Netstack

/// Keeps one socket for each pair of source and destination. Replies come from the address that was dialled, and a closed
/// port is told as such.
public struct UDPForwarder: Sendable {
    /// How many flows may be open at once. Beyond: the datagrams of new ones are dropped and counted in the log.
    public static let flowLimit = 4096

    private let logger: Logger
    private let resolve: TCPForwarder.Resolve

    /// - Parameter resolve: the address to send to for an address dialled on the link; nil means that it is prohibited.
    public init(logger: Logger = Logger(label: "vni.udp"), resolve: @escaping TCPForwarder.Resolve) {
        self.logger = logger
        self.resolve = resolve
    }

    /// Takes over the datagrams that arrive on a NIC for no socket of the stack. The NIC should be promiscuous.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forwardUDP(on: nic) { core, interface in
            let flows = Flows(core, interface, logger: logger, resolve: resolve)
            return (receive: { flows.receive($0) }, stop: { flows.closeAll() })
        }
    }

    /// All flows of a NIC, on the event loop.
    fileprivate final class Flows {
        struct Key: Hashable {
            var source: TransportAddress
            var destination: TransportAddress
        }

        private unowned let stack: StackCore
        private unowned let nic: NetworkInterface
        private let logger: Logger
        private let resolve: TCPForwarder.Resolve
        private var flows: [Key: UDPFlow] = [:]

        init(_ stack: StackCore, _ nic: NetworkInterface, logger: Logger, resolve: @escaping TCPForwarder.Resolve) {
            self.stack = stack
            self.nic = nic
            self.logger = logger
            self.resolve = resolve
        }

        func receive(_ datagram: UDPDatagram) {
            guard let target = resolve(datagram.destination), let address = try? target.socketAddress() else {
                logger.info("prohibited", metadata: ["to": "\(datagram.destination)"])
                return stack.reject(datagram, .administrativelyProhibited, on: nic)
            }
            let key = Key(source: datagram.source, destination: datagram.destination)
            if let flow = flows[key] { return flow.send(datagram) }
            guard flows.count < UDPForwarder.flowLimit else {
                return logger.warning("too many UDP flows", metadata: ["limit": "\(UDPForwarder.flowLimit)"])
            }
            let flow = UDPFlow(
                eventLoop: stack.eventLoop,
                replied: { [weak self] payload in
                    guard let self else { return }
                    let reply = UDPDatagram(source: key.destination, destination: key.source, payload: payload)
                    try? stack.send(reply, on: nic)
                },
                refused: { [weak self] datagram in
                    guard let self else { return }
                    stack.reject(datagram, .portUnreachable, on: nic)
                },
                ended: { [weak self] in self?.flows[key] = nil })
            flows[key] = flow
            flow.open(to: address)
            flow.send(datagram)
        }

        func closeAll() {
            for flow in flows.values { flow.close() }
        }
    }
}

/// A connected UDP socket: connected, so that the kernel reports the ICMP errors that come back.
private final class UDPFlow: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    /// RFC 4787 section 4.3 asks for two minutes at least.
    private static let idleTimeout = TimeAmount.seconds(120)
    /// What may wait for the socket to open.
    private static let waitingLimit = 64

    private let eventLoop: any EventLoop
    private let replied: (ByteBuffer) -> Void
    private let refused: (UDPDatagram) -> Void
    private let ended: () -> Void
    private var channel: (any Channel)?
    private var remote: SocketAddress?
    private var waiting: [UDPDatagram] = []
    private var lastSent: UDPDatagram?
    private var lastUse = NIODeadline.now()
    private var isClosed = false

    init(
        eventLoop: any EventLoop, replied: @escaping (ByteBuffer) -> Void, refused: @escaping (UDPDatagram) -> Void,
        ended: @escaping () -> Void
    ) {
        self.eventLoop = eventLoop
        self.replied = replied
        self.refused = refused
        self.ended = ended
    }

    func open(to remote: SocketAddress) {
        self.remote = remote
        DatagramBootstrap(group: eventLoop)
            // A datagram longer than its buffer would be cut.
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65535))
            .connect(to: remote)
            .assumeIsolated()
            .whenComplete { [self] result in
                guard case .success(let channel) = result, !isClosed,
                    (try? channel.pipeline.syncOperations.addHandler(self)) != nil
                else {
                    try? result.get().close(promise: nil)
                    return close()
                }
                self.channel = channel
                for datagram in waiting { send(datagram) }
                waiting = []
                watchIdleness()
            }
    }

    func send(_ datagram: UDPDatagram) {
        lastUse = .now()
        guard let channel, let remote else {
            if waiting.count < Self.waitingLimit { waiting.append(datagram) }
            return
        }
        guard channel.isWritable else { return }
        lastSent = datagram
        let envelope = AddressedEnvelope(remoteAddress: remote, data: datagram.payload)
        channel.writeAndFlush(envelope).assumeIsolated().whenFailure { [self] in failed($0, datagram) }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        channel?.close(promise: nil)
        ended()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastUse = .now()
        replied(unwrapInboundIn(data).data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let lastSent { failed(error, lastSent) }
    }

    func channelInactive(context: ChannelHandlerContext) { close() }

    private func failed(_ error: any Error, _ datagram: UDPDatagram) {
        if (error as? IOError)?.errnoCode == ECONNREFUSED { refused(datagram) }
    }

    private func watchIdleness() {
        let due = lastUse + Self.idleTimeout
        eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            guard let self, !isClosed else { return }
            if NIODeadline.now() >= lastUse + Self.idleTimeout { close() } else { watchIdleness() }
        }
    }
}
