// A door for programs of this host: what connects to a port of the loopback comes out in a stack's network.

import NIOCore
import NIOPosix
import Netstack
import NetstackNIO

/// Joins each connection that the kernel accepts to one of a stack.
struct Gate: Sendable {
    private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    let port: Int
    private let listener: NIOAsyncChannel<Connection, Never>
    private let stack: Stack
    private let destination: SocketAddress

    init(into stack: Stack, to destination: SocketAddress) async throws {
        listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0, childChannelInitializer: Self.wrap)
        port = listener.channel.localAddress?.port ?? 0
        self.stack = stack
        self.destination = destination
    }

    /// Lets connections through until the task is cancelled.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { connections in
                for try await near in connections { group.addTask { try? await join(near) } }
            }
        }
    }

    private func join(_ near: Connection) async throws {
        try await near.executeThenClose { fromNear, toNear in
            let far = try await NetstackClientBootstrap(stack: stack)
                .connect(to: destination, channelInitializer: Self.wrap)
            try await far.executeThenClose { fromFar, toFar in
                async let there: Void = Self.copy(fromNear, toFar)
                try await Self.copy(fromFar, toNear)
                try await there
            }
        }
    }

    /// Up to the end, which is passed on.
    private static func copy(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        for try await bytes in inbound { try await outbound.write(bytes) }
        outbound.finish()
    }

    private static func wrap(_ channel: any Channel) -> EventLoopFuture<Connection> {
        channel.eventLoop.makeCompletedFuture {
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            return try Connection(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }
}
