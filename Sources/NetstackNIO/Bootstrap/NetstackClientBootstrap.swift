// Opens TCP connections of a stack as NIO channels.

public import NIOCore
public import Netstack

/// Opens TCP connections through a `Stack`, as `ClientBootstrap` does through the kernel.
///
/// ```swift
/// let channel = try await NetstackClientBootstrap(stack: stack)
///     .channelInitializer { channel in
///         channel.eventLoop.makeCompletedFuture {
///             try channel.pipeline.syncOperations.addHandler(EchoHandler())
///         }
///     }
///     .connect(to: SocketAddress(ipAddress: "10.1.2.3", port: 7))
///     .get()
/// ```
/// Its channels run on the event loop of their stack. A connection that can't be opened fails the future with the
/// `NetstackError` that `Stack.connect` would throw.
public struct NetstackClientBootstrap: StackBootstrap, Sendable {
    private let stack: Stack
    private let nic: NICID?
    private var source: SocketAddress?
    private var options = ChannelOptions.Storage()
    private var initializer: ChannelInitializer<Void> = { $0.eventLoop.makeSucceededVoidFuture() }

    /// - Parameters:
    ///   - stack: what to dial through.
    ///   - nic: the NIC to use instead of the one the stack's routes lead to.
    public init(stack: Stack, nic: NICID? = nil) {
        self.stack = stack
        self.nic = nic
        options.append(key: .connectTimeout, value: .seconds(10))
    }

    /// Adds handlers to a channel before it is connected. If its future fails, so does the connect.
    public func channelInitializer(
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> Self {
        with { $0.initializer = initializer }
    }

    /// Sets an option of the channel, before its handlers are added.
    public func channelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self {
        with { $0.options.append(key: option, value: value) }
    }

    /// How long to wait for an answer: ten seconds by default. After that the connect fails with
    /// `NetstackError.timedOut`.
    public func connectTimeout(_ timeout: TimeAmount) -> Self {
        channelOption(.connectTimeout, value: timeout)
    }

    /// Where to connect from. A port of 0 means any that is free.
    public func bind(to address: SocketAddress) -> Self {
        with { $0.source = address }
    }

    /// Opens a connection.
    public func connect(to address: SocketAddress) -> EventLoopFuture<any Channel> {
        stack.onEventLoop { connect(TCPChannel($0, nic: nic), to: address) { $0.eventLoop.makeSucceededFuture($0) } }
    }

    /// Opens a connection to a host: a name, or the text of an address. The addresses that `Stack.resolve` finds are tried
    /// one after the other.
    public func connect(host: String, port: Int) -> EventLoopFuture<any Channel> {
        let connected = stack.eventLoop.makePromise(of: (any Channel).self)
        connected.completeWithTask {
            var failure: any Error = NetstackError.nameHasNoAddress(host)
            for address in try await stack.resolve(host) {
                do {
                    let address = try SocketAddress(ipAddress: "\(address)", port: port)
                    return try await connect(to: address).get()
                } catch {
                    failure = error
                }
            }
            throw failure
        }
        return connected.futureResult
    }

    /// Opens a connection, and returns what the initializer makes of it: a `NIOAsyncChannel`, for example.
    ///
    /// - Parameters:
    ///   - address: where to connect to.
    ///   - channelInitializer: adds handlers before the channel is connected, after those of ``channelInitializer(_:)``.
    public func connect<Output: Sendable>(
        to address: SocketAddress,
        channelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> Output {
        try await stack.onEventLoop { connect(TCPChannel($0, nic: nic), to: address, channelInitializer) }.get()
    }

    /// The same with a channel that the caller knows already.
    func connect<Output: Sendable>(
        _ channel: TCPChannel, to address: SocketAddress, _ last: @escaping ChannelInitializer<Output>
    ) -> EventLoopFuture<Output> {
        let (source, initializer) = (source, initializer)
        return channel.setUp(options) { channel in
            let bound = source.map { channel.bind(to: $0) } ?? channel.eventLoop.makeSucceededVoidFuture()
            return bound.flatMap { initializer(channel) }.hop(to: channel.eventLoop).flatMap { last(channel) }
        } begin: {
            channel.connect0(to: address, promise: $0)
        }
    }
}
