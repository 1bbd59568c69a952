// A link over any byte stream that NIO has a channel for: TCP, Unix sockets, pipes, TLS, another stack's connection.

public import NIOCore
public import Netstack

/// Carries packets over a byte stream, back to back, without further framing.
///
/// The link is reliable: when the stream's peer is slow, the stack's TCP writers wait. It is fastest when its channel runs
/// on the event loop of its stack.
public struct StreamLink: Link {
    /// The near end of a pipe; the channel stands at its far end.
    private let near: MemoryLink

    /// Makes a link of a connected channel of bytes, which nothing has been read from. The channel belongs to the link.
    public init(_ channel: any Channel) async throws {
        let (near, far) = MemoryLink.pipe()
        self.near = near
        try await channel.eventLoop.submit { try Self.attach(channel, to: far) }.get()
    }

    /// The same, for code on the channel's event loop.
    package init(synchronously channel: any Channel) throws {
        let (near, far) = MemoryLink.pipe()
        self.near = near
        try Self.attach(channel, to: far)
    }

    private static func attach(_ channel: any Channel, to end: MemoryLink) throws {
        let driver = MemoryLinkDriver(end, on: channel.eventLoop)
        try channel.syncOptions?.setOption(.autoRead, value: false)
        try channel.pipeline.syncOperations.addHandler(StreamLinkHandler(driver))
    }

    public var defaultMTU: Int { 65535 }
    public func read() async throws -> ByteBuffer? { try await near.read() }
    public func readBatch() async throws -> PacketBatch? { try await near.readBatch() }
    public func write(_ packet: ByteBuffer) async throws { try await near.write(packet) }
    public func writeBatch(_ packets: PacketBatch) async throws { try await near.writeBatch(packets) }
    public func close() async { await near.close() }
}

extension StreamLink: EventLoopLink {
    package func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver { near.makeDriver(on: eventLoop) }
}

/// Joins a channel of bytes to its end of the pipe.
private final class StreamLinkHandler: LinkChannelHandler {
    private var framing = StreamFraming()

    override func packets(in bytes: ByteBuffer) throws -> PacketBatch { try framing.packets(adding: bytes) }

    override var faultAtEnd: (any Error)? { framing.faultAtEnd }

    override func linkReceived(_ packets: PacketBatch) {
        context?.writeAndFlush(wrapOutboundOut(packets.bytes), promise: nil)
    }

    override func channelWritabilityChanged(context: ChannelHandlerContext) {
        driver.isPaused = !context.channel.isWritable
        context.fireChannelWritabilityChanged()
    }
}
