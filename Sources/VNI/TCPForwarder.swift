// Forwards what is dialled on a NIC to real TCP connections of this host.

import Glibc
public import Logging
import NIOCore
import NIOPosix
public import Netstack

/// Dials the real destination of each connection attempt, and answers the attempt with what came of that.
///
/// The handshake on the link is completed only after the destination has accepted: refused is refused, unreachable is
/// unreachable, and no answer is none.
public struct TCPForwarder: Sendable {
    /// The address of this host's network to dial for an address dialled on the link; nil means that it is prohibited.
    public typealias Resolve = @Sendable (TransportAddress) -> TransportAddress?

    /// Silence for this long is a time-out. Diallers give up earlier.
    private static let connectTimeout = TimeAmount.seconds(60)

    private let logger: Logger
    private let resolve: Resolve

    public init(logger: Logger = Logger(label: "vni.tcp"), resolve: @escaping Resolve) {
        self.logger = logger
        self.resolve = resolve
    }

    /// Takes over the connections dialled on a NIC that no listener of the stack answers. The NIC should be promiscuous.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forwardTCP(on: nic, forward)
    }

    /// Runs on the stack's event loop, as do the sockets: a packet crosses no thread on its way.
    @Sendable private func forward(_ request: TCPForwardRequest) {
        guard let target = resolve(request.destination), let address = try? target.socketAddress() else {
            logger.info("prohibited", metadata: request.metadata)
            return request.reject(.administrativelyProhibited)
        }
        let dialling = NIOLoopBoundBox<(any Channel)?>(nil, eventLoop: request.eventLoop)
        request.abandoned = { dialling.value?.close(promise: nil) }
        ClientBootstrap(group: request.eventLoop)
            .connectTimeout(Self.connectTimeout)
            .channelInitializer { channel in
                dialling.value = channel
                return channel.eventLoop.makeCompletedFuture { try Self.setOptions(of: channel) }
            }
            .connect(to: address)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    join(request, channel)
                case .failure(let error):
                    logger.info("failed", metadata: request.metadata(error))
                    Self.answer(request, error)
                }
            }
    }

    private static func setOptions(of channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.autoRead, value: false)
        try options.setOption(.writeBufferWaterMark, value: .init(low: 1 << 17, high: 1 << 19))
        try options.setOption(
            .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 1 << 14, maximum: 1 << 18))
    }

    private func join(_ request: TCPForwardRequest, _ channel: any Channel) {
        let splice = TCPSplice()
        do {
            try channel.pipeline.syncOperations.addHandler(splice)
        } catch {
            // The socket has closed again already.
            return request.refuse()
        }
        let block = request.accept { result in
            switch result {
            case .success(let block):
                logger.debug("connected", metadata: request.metadata)
                splice.join(block)
            case .failure(let error):
                logger.debug("abandoned by the dialler", metadata: request.metadata(error))
                splice.abandon()
            }
        }
        if block == nil { splice.abandon() }
    }

    /// Tells the dialler what dialling told us.
    private static func answer(_ request: TCPForwardRequest, _ error: any Error) {
        guard let error = error as? IOError else { return request.drop() }
        switch error.errnoCode {
        case ECONNREFUSED: request.refuse()
        case ENETUNREACH: request.reject(.networkUnreachable)
        case EHOSTUNREACH, EADDRNOTAVAIL: request.reject(.hostUnreachable)
        case EACCES, EPERM: request.reject(.administrativelyProhibited)
        // A time-out, or a lack of descriptors or memory here: the dialler tries again until its own time-out.
        default: request.drop()
        }
    }
}

extension TCPForwardRequest {
    fileprivate var metadata: Logger.Metadata { ["from": "\(source)", "to": "\(destination)"] }

    fileprivate func metadata(_ error: any Error) -> Logger.Metadata {
        metadata.merging(["error": "\(error)"]) { $1 }
    }
}
