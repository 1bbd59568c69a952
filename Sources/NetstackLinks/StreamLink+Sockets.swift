// Stream links over TCP and Unix-domain sockets: the connecting side and the listening side.

public import NIOCore
import NIOPosix
public import Netstack

extension StreamLink {
    /// Connects to a stream link that listens at `host` and `port`.
    ///
    /// - Throws: what SwiftNIO throws when a connection can't be made.
    public static func connect(
        host: String, port: Int, on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws -> StreamLink {
        let bootstrap = client(eventLoop).channelOption(.tcpOption(.tcp_nodelay), value: 1)
        return try await StreamLink(bootstrap.connect(host: host, port: port).get())
    }

    /// Connects to a stream link that listens at a Unix-domain socket.
    public static func connect(
        unixDomainSocketPath path: String, on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws -> StreamLink {
        try await StreamLink(client(eventLoop).connect(unixDomainSocketPath: path).get())
    }

    private static func client(_ eventLoop: any EventLoop) -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.writeBufferWaterMark, value: StreamLinkListener.waterMark)
            .channelOption(.recvAllocator, value: StreamLinkListener.allocator)
    }

    /// Listens for stream links at `host` and `port`; port 0 means any that is free.
    public static func listen(
        host: String, port: Int, on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws -> StreamLinkListener {
        try await StreamLinkListener(eventLoop) {
            try await $0.childChannelOption(.tcpOption(.tcp_nodelay), value: 1).bind(host: host, port: port).get()
        }
    }

    /// Listens for stream links at a Unix-domain socket, which must not exist yet.
    public static func listen(
        unixDomainSocketPath path: String, on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws -> StreamLinkListener {
        try await StreamLinkListener(eventLoop) { try await $0.bind(unixDomainSocketPath: path).get() }
    }
}

/// Stream links that peers open, as an asynchronous sequence.
public final class StreamLinkListener: AsyncSequence, Sendable {
    public typealias Element = StreamLink

    /// As much as a NIC lets wait in a link, so that one batch goes out in one write.
    package static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(
        low: linkBacklogLimit / 4, high: linkBacklogLimit)
    package static let allocator = AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 1 << 16, maximum: 1 << 18)
    /// Links that wait to be taken; beyond it they are closed at once.
    private static let backlog = 64

    /// Where it listens.
    public let localAddress: SocketAddress?
    private let channel: any Channel
    private let links: AsyncStream<StreamLink>

    init(_ eventLoop: any EventLoop, bind: (ServerBootstrap) async throws -> any Channel) async throws {
        let (links, continuation) = AsyncStream.makeStream(
            of: StreamLink.self, bufferingPolicy: .bufferingOldest(Self.backlog))
        let bootstrap = ServerBootstrap(group: eventLoop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelOption(.recvAllocator, value: Self.allocator)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .enqueued = continuation.yield(try StreamLink(synchronously: channel)) { return }
                    channel.close(promise: nil)
                }
            }
        channel = try await bind(bootstrap)
        localAddress = channel.localAddress
        self.links = links
        channel.closeFuture.whenComplete { _ in continuation.finish() }
    }

    deinit { channel.close(promise: nil) }

    /// Stops listening and ends the iterations. Links that have been taken go on.
    public func close() async { try? await channel.close().get() }

    public func makeAsyncIterator() -> AsyncStream<StreamLink>.AsyncIterator { links.makeAsyncIterator() }
}
