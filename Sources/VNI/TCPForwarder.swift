// Forwards what is dialled on a NIC to real TCP connections of this host.

import Logging
import NIOCore
import NIOPosix
public import Netstack

/// Dials the real destination of each connection attempt and answers it with what came of that.
///
/// The handshake on the link is completed only after the destination has accepted: refused is refused, unreachable is
/// unreachable, and no answer is none.
public struct TCPForwarder: Sendable {
    /// How a destination as dialled on the link maps to one of this host's network; nil means prohibited.
    public typealias Resolve = @Sendable (TransportAddress) -> TransportAddress?

    /// How long to wait for a destination.
    static let connectTimeout = TimeAmount.seconds(60)

    private let resolve: Resolve
    private let logger: Logger

    public init(logger: Logger, resolve: @escaping Resolve) {
        self.logger = logger
        self.resolve = resolve
    }

    /// Takes over what is dialled on a NIC and no listener of the stack answers. The NIC should be promiscuous.
    public func attach(to stack: Stack, nic: NICID) async throws {
        try await stack.handleTCP(on: nic) { forward($0) }
    }

    /// Runs on the stack's event loop, as do the sockets: a packet crosses no thread on its way.
    private func forward(_ request: TCPForwardRequest) {
        guard let target = resolve(request.destination) else {
            logger.debug("prohibited", metadata: request.metadata)
            return request.reject(.administrativelyProhibited)
        }
        let splice = TCPSplice(logger: logger)
        ClientBootstrap(group: request.eventLoop)
            .connectTimeout(Self.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 1 << 16, maximum: 1 << 16))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(splice) }
            }
            .connect(to: SocketAddress(target))
            .assumeIsolated()
            .whenComplete { result in
            }
    }
}
