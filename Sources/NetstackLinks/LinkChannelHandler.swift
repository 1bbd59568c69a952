// What links over NIO channels share: the channel on one side, the end of a pipe on the other.

import NIOCore
import Netstack

/// Joins a channel to its end of a pipe. Subclasses say what is read from the channel, and how packets are written.
class LinkChannelHandler: ChannelInboundHandler, LinkReceiver {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    final let driver: MemoryLinkDriver
    private(set) final var context: ChannelHandlerContext?
    private final var failure: (any Error)?
    private final var reading = false

    init(_ driver: MemoryLinkDriver) { self.driver = driver }

    // MARK: For subclasses

    /// The packets in what has been read, and in what came before it.
    ///
    /// - Throws: what ends the link.
    func packets(in bytes: ByteBuffer) throws -> PacketBatch { PacketBatch() }

    /// What is wrong with the channel's end, if it comes now.
    var faultAtEnd: (any Error)? { nil }

    func linkReceived(_ packets: PacketBatch) {}

    // MARK: From the channel

    final func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin() }
    }

    final func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    final func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private final func begin() {
        driver.start(self)
        read()
    }

    final func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil else { return }
        do {
            let packets = try packets(in: unwrapInboundIn(data))
            if !packets.isEmpty { driver.send(packets) }
        } catch {
            failure = error
            context.close(promise: nil)
        }
    }

    final func channelReadComplete(context: ChannelHandlerContext) {
        reading = false
        read()
    }

    /// Reads on while the stack keeps up.
    private final func read() {
        guard !reading, driver.backlog < linkBacklogLimit else { return }
        reading = true
        context?.read()
    }

    final func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }

    final func channelInactive(context: ChannelHandlerContext) {
        driver.stop(failure ?? faultAtEnd)
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { context.fireChannelWritabilityChanged() }

    // MARK: From the pipe

    final func linkDrained() { read() }

    final func linkEnded(_ error: (any Error)?) { context?.close(promise: nil) }
}
