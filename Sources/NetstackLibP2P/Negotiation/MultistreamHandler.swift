// Negotiates at the end of a channel's pipeline, and makes way for what has been agreed on.

import NIOCore

/// Stands last in a pipeline until a protocol is agreed on. What is added for that protocol comes behind it, and then sees
/// all that follows the negotiation.
final class MultistreamHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Adds the handlers of the protocol.
    typealias Agreed = (any Channel, String) throws -> Void

    private var negotiation: MultistreamNegotiation
    private var isOver = false
    private let agreed: Agreed
    private let failed: (any Error) -> Void
    private var hasBegun = false

    /// - Parameter failed: called once if there is no agreement. The channel is closed then.
    init(
        _ role: MultistreamNegotiation.Role, messageLimit: Int, agreed: @escaping Agreed,
        failed: @escaping (any Error) -> Void
    ) {
        negotiation = MultistreamNegotiation(role, messageLimit: messageLimit)
        self.agreed = agreed
        self.failed = failed
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        context.writeAndFlush(wrapOutboundOut(negotiation.opening()), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return context.fireChannelRead(data) }
        var reply = ByteBuffer()
        let outcome = Result { try negotiation.receive(unwrapInboundIn(data), reply: &reply) }
        if reply.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(reply), promise: nil) }
        do {
            guard let name = try outcome.get() else { return }
            try agreed(context.channel, name)
            makeWay(context)
        } catch {
            fail(context, error)
        }
    }

    private func makeWay(_ context: ChannelHandlerContext) {
        guard !isOver else { return }
        isOver = true
        let rest = negotiation.takeRest()
        if rest.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(rest))
            context.fireChannelReadComplete()
        }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isOver { return context.fireErrorCaught(error) }
        fail(context, error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context, LibP2PError.negotiation(fault: "the peer closed before both had agreed"))
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            fail(context, LibP2PError.negotiation(fault: "the peer closed before both had agreed"))
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        if isOver { return }
        isOver = true
        failed(error)
        context.close(promise: nil)
    }
}
