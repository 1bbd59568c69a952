// Negotiates at the end of a channel's pipeline, and makes way for what has been agreed on.

import NIOCore

/// Stands last in a pipeline until a protocol is agreed on. What is added for that protocol comes behind it, and then sees
/// all that follows the negotiation.
final class MultistreamHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Adds the handlers of the protocol.
    typealias Agreed = (any Channel, String) -> EventLoopFuture<Void>

    private enum State {
        case negotiating
        /// The protocol's handlers are being added: nothing is read until they are there.
        case agreed(rest: ByteBuffer, readHeld: Bool)
        case over
    }

    private var negotiation: MultistreamNegotiation
    private var state = State.negotiating
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
        let bytes = unwrapInboundIn(data)
        switch state {
        case .negotiating: negotiate(context, bytes)
        case .agreed(var rest, let readHeld):
            rest.writeImmutableBuffer(bytes)
            state = .agreed(rest: rest, readHeld: readHeld)
        case .over: context.fireChannelRead(data)
        }
    }

    private func negotiate(_ context: ChannelHandlerContext, _ bytes: ByteBuffer) {
        var reply = ByteBuffer()
        do {
            let name = try negotiation.receive(bytes, reply: &reply)
            if reply.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(reply), promise: nil) }
            guard let name else { return }
            state = .agreed(rest: negotiation.takeRest(), readHeld: false)
            let reach = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            agreed(context.channel, name).whenComplete { result in
                let (handler, context) = reach.value
                handler.makeWay(context, result)
            }
        } catch {
            if reply.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(reply), promise: nil) }
            fail(context, error)
        }
    }

    private func makeWay(_ context: ChannelHandlerContext, _ result: Result<Void, any Error>) {
        guard case .agreed(let rest, let readHeld) = state else { return }
        if case .failure(let error) = result { return fail(context, error) }
        state = .over
        if rest.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(rest))
            context.fireChannelReadComplete()
        }
        if readHeld { context.read() }
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func read(context: ChannelHandlerContext) {
        if case .agreed(let rest, _) = state {
            state = .agreed(rest: rest, readHeld: true)
        } else {
            context.read()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .over = state { return context.fireErrorCaught(error) }
        fail(context, error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(context, LibP2PError.negotiation(fault: "the peer closed before both had agreed"))
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .negotiating = state, case ChannelEvent.inputClosed? = event as? ChannelEvent {
            fail(context, LibP2PError.negotiation(fault: "the peer closed before both had agreed"))
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        if case .over = state { return }
        state = .over
        failed(error)
        context.close(promise: nil)
    }
}
