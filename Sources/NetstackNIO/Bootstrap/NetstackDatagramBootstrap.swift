// Opens UDP sockets of a stack as NIO channels.

public import NIOCore
public import Netstack

/// Opens UDP sockets of a `Stack`, as `DatagramBootstrap` does the kernel's.
///
/// Its channels read and write `AddressedEnvelope<ByteBuffer>`s. One that is connected also takes plain `ByteBuffer`s, reads
/// what its peer sends only, and is told of ICMP errors by `errorCaught`, as `NetstackError.unreachable` or `.prohibited`.
/// A write that the stack does not take fails its promise, and no other.
public struct NetstackDatagramBootstrap: StackBootstrap, Sendable {
    private let stack: Stack
    private var options = ChannelOptions.Storage()
    private var initializer: ChannelInitializer<Void> = { $0.eventLoop.makeSucceededVoidFuture() }

    /// - Parameter stack: what the channels' sockets belong to.
    public init(stack: Stack) { self.stack = stack }

    /// Adds handlers to a channel before it is bound or connected.
    public func channelInitializer(
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> Self {
        with { $0.initializer = initializer }
    }

    /// Sets an option of the channel, before its handlers are added.
    public func channelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self {
        with { $0.options.append(key: option, value: value) }
    }

    /// Opens a socket at an address of the stack, the unspecified one for all of them, and a port, 0 for any that is
    /// free. The future fails as `Stack.openUDP` throws.
    public func bind(to address: SocketAddress) -> EventLoopFuture<any Channel> {
        open({ $0.eventLoop.makeSucceededFuture($0) }, begin: { $0.bind0(to: address, promise: $1) })
    }

    /// Opens a socket at a free port, for datagrams to and from one peer.
    public func connect(to address: SocketAddress) -> EventLoopFuture<any Channel> {
        open({ $0.eventLoop.makeSucceededFuture($0) }, begin: { $0.connect0(to: address, promise: $1) })
    }

    /// As ``bind(to:)``, and returns what the initializer makes of the channel.
    public func bind<Output: Sendable>(
        to address: SocketAddress,
        channelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> Output {
        try await open(channelInitializer, begin: { $0.bind0(to: address, promise: $1) }).get()
    }

    /// As ``connect(to:)``, and returns what the initializer makes of the channel.
    public func connect<Output: Sendable>(
        to address: SocketAddress,
        channelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> Output {
        try await open(channelInitializer, begin: { $0.connect0(to: address, promise: $1) }).get()
    }

    private func open<Output: Sendable>(
        _ last: @escaping ChannelInitializer<Output>,
        begin: @escaping @Sendable (DatagramChannel, EventLoopPromise<Void>) -> Void
    ) -> EventLoopFuture<Output> {
        let initializer = initializer
        return stack.onEventLoop { core in
            let channel = DatagramChannel(core)
            return channel.setUp(options) { channel in
                initializer(channel).hop(to: channel.eventLoop).flatMap { last(channel) }
            } begin: {
                begin(channel, $0)
            }
        }
    }
}
