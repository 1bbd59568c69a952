// Accepts TCP connections of a stack as NIO channels.

public import NIOCore
public import Netstack

/// Listens at a port of a `Stack`, as `ServerBootstrap` does at one of the kernel.
///
/// ```swift
/// let server = try await NetstackServerBootstrap(stack: stack)
///     .childChannelInitializer { channel in
///         channel.eventLoop.makeCompletedFuture {
///             try channel.pipeline.syncOperations.addHandler(EchoHandler())
///         }
///     }
///     .bind(to: SocketAddress(ipAddress: "0.0.0.0", port: 7))
///     .get()
/// ```
/// The unspecified address of either IP version stands for all addresses of the stack, of both. A port of 0 means any
/// that is free. All channels run on the event loop of the stack.
public struct NetstackServerBootstrap: StackBootstrap, Sendable {
    private let stack: Stack
    private var serverOptions = ChannelOptions.Storage()
    private var serverInitializer: ChannelInitializer<Void> = { $0.eventLoop.makeSucceededVoidFuture() }
    private var childOptions = ChannelOptions.Storage()
    private var childInitializer: ChannelInitializer<Void> = { $0.eventLoop.makeSucceededVoidFuture() }

    /// - Parameter stack: what to listen at.
    public init(stack: Stack) { self.stack = stack }

    /// Adds handlers to the channel that listens. Those see each accepted channel in `channelRead`, set up already.
    public func serverChannelInitializer(
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> Self {
        with { $0.serverInitializer = initializer }
    }

    /// Adds handlers to an accepted channel before it is active. If its future fails, that channel is closed, and the
    /// handlers of the listening one see the error.
    public func childChannelInitializer(
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> Self {
        with { $0.childInitializer = initializer }
    }

    /// Sets an option of the channel that listens.
    public func serverChannelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self {
        with { $0.serverOptions.append(key: option, value: value) }
    }

    /// Sets an option of each accepted channel.
    public func childChannelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self {
        with { $0.childOptions.append(key: option, value: value) }
    }

    /// Begins to listen. The future fails as `Stack.listen` throws.
    public func bind(to address: SocketAddress) -> EventLoopFuture<any Channel> {
        bind(to: address) { $0.eventLoop.makeSucceededFuture($0) }
    }

    /// Begins to listen, and returns accepted connections as what the initializer makes of them.
    ///
    /// - Parameters:
    ///   - address: where to listen.
    ///   - serverBackPressureStrategy: how many connections may wait for the reader; NIO's default if nil.
    ///   - childChannelInitializer: adds handlers to an accepted channel before it is active, after those of
    ///     ``childChannelInitializer(_:)``.
    public func bind<Output: Sendable>(
        to address: SocketAddress,
        serverBackPressureStrategy: NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark? = nil,
        childChannelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> NIOAsyncChannel<Output, Never> {
        try await bind(to: address) { server in
            server.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<Output, Never>._wrapAsyncChannelWithTransformations(
                    wrappingChannelSynchronously: server, backPressureStrategy: serverBackPressureStrategy,
                    channelReadTransformation: childChannelInitializer)
            }
        }.get()
    }

    private func bind<Output: Sendable>(
        to address: SocketAddress, _ last: @escaping ChannelInitializer<Output>
    ) -> EventLoopFuture<Output> {
        let (serverInitializer, childInitializer, childOptions) = (serverInitializer, childInitializer, childOptions)
        return stack.onEventLoop { core in
            let server = TCPServerChannel(core)
            return server.setUp(serverOptions) { channel in
                serverInitializer(channel).hop(to: channel.eventLoop).flatMapThrowing {
                    let handler = AcceptHandler(childOptions, childInitializer)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }.flatMap { last(channel) }
            } begin: {
                server.bind0(to: address, promise: $0)
            }
        }
    }
}
