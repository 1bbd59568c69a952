// Real servers on loopback, on the kernel's own TCP and UDP.

package import NIOCore
import NIOPosix
package import Netstack

/// A TCP server on 127.0.0.1 or ::1 that runs a behaviour for each connection.
package final class KernelServer: Sendable {
    package typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    private let server: NIOAsyncChannel<Connection, Never>
    private let task: Task<Void, any Error>
    package let port: UInt16
    package let loopback: IPAddress

    /// - Parameter serve: runs once a connection; what it throws ends that connection.
    package init(
        _ version: IPVersion = .v4,
        serve: @escaping @Sendable (NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>)
            async throws -> Void
    ) async throws {
        loopback = version == .v4 ? .v4(.loopback) : .v6(.loopback)
        server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(host: "\(loopback)", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Connection(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
        port = UInt16(server.channel.localAddress?.port ?? 0)
        task = Task { [server] in
            try await withThrowingDiscardingTaskGroup { group in
                try await server.executeThenClose { connections in
                    for try await connection in connections {
                        group.addTask { try? await connection.executeThenClose { try await serve($0, $1) } }
                    }
                }
            }
        }
    }

    package func stop() async {
        try? await server.channel.close()
        task.cancel()
        _ = await task.result
    }

    /// Sends everything back, and its end after the end.
    package static func echo(_ version: IPVersion = .v4) async throws -> KernelServer {
        try await KernelServer(version) { inbound, outbound in
            for try await bytes in inbound { try await outbound.write(bytes) }
            outbound.finish()
        }
    }
}

/// A UDP socket on 127.0.0.1 or ::1 that sends each datagram back to whoever sent it.
package final class KernelEchoSocket: Sendable {
    private let channel: any Channel
    package let port: UInt16
    package let loopback: IPAddress

    package init(_ version: IPVersion = .v4) async throws {
        loopback = version == .v4 ? .v4(.loopback) : .v6(.loopback)
        channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65535))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
            }
            .bind(host: "\(loopback)", port: 0).get()
        port = UInt16(channel.localAddress?.port ?? 0)
    }

    package func stop() async { try? await channel.close() }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(data, promise: nil)
        }
    }
}

/// A port of 127.0.0.1 at which nothing listens: it was free a moment ago.
package func closedPort() async throws -> UInt16 {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0)
        .get()
    let port = UInt16(channel.localAddress?.port ?? 0)
    try await channel.close()
    return port
}
