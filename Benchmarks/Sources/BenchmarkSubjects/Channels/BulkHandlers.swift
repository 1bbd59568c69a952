// Bulk data over a channel: as much as it takes, and what arrives of it.

import NIOCore

/// Writes for as long as the channel is writable.
final class BulkSender: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// A stream that has been negotiated is active by now.
    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { send(context) }
    }

    func channelActive(context: ChannelHandlerContext) { send(context) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        while context.channel.isWritable { context.write(wrapOutboundOut(Payload.bulk), promise: nil) }
        context.flush()
    }
}

/// Counts bytes, and drops them.
final class BulkReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let counter: Counter

    init(_ counter: Counter) { self.counter = counter }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { counter.add(unwrapInboundIn(data).readableBytes) }
}
