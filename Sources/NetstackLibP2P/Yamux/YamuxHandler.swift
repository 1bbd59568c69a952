// The multiplexer in a connection's pipeline: a channel for each stream.

package import NIOCore
import NetstackNIO

package final class YamuxHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// How long after its last answer a peer is asked for a sign of life, and how long it may then say nothing.
    package static let keepAlive = TimeAmount.seconds(30)

    private let eventLoop: any EventLoop
    private let session: YamuxSession
    /// Sets up the channel of a stream that the peer has opened.
    private let accept: (any Channel) -> EventLoopFuture<Void>
    /// Told of how many streams have been refused.
    private let refused: (Int) -> Void
    private var context: ChannelHandlerContext?
    private var failure: (any Error)?
    private var isReading = false
    private var flushScheduled = false
    private var pings: [UInt32: EventLoopPromise<Void>] = [:]
    private var lastRead = NIODeadline.uptimeNanoseconds(0)
    /// Until the next ping, or its answer.
    private var keepAliveTimer: Scheduled<Void>?

    package init(
        _ role: YamuxSession.Role, limits: YamuxLimits, on eventLoop: any EventLoop, refused: @escaping (Int) -> Void,
        accept: @escaping (any Channel) -> EventLoopFuture<Void>
    ) {
        self.eventLoop = eventLoop
        session = YamuxSession(role, limits: limits, clock: { .now() })
        self.accept = accept
        self.refused = refused
        session.hasOutput = { [unowned self] in scheduleFlush() }
    }

    // MARK: For the host

    var streamCount: Int { session.streams.count }

    var acceptsStreams: Bool { context != nil && failure == nil && session.peerGoAway == nil }

    /// Opens a stream. The future fails as `YamuxSession.openStream` throws, or as `setUp` does.
    package func openStream(_ setUp: (any Channel) -> EventLoopFuture<Void>) -> EventLoopFuture<Void> {
        do {
            guard let context, failure == nil else { throw failure ?? LibP2PError.closed }
            return begin(try session.openStream(), context, setUp)
        } catch {
            return eventLoop.makeFailedFuture(error)
        }
    }

    /// Done when the peer has answered.
    package func ping() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        guard context != nil, failure == nil else {
            promise.fail(failure ?? LibP2PError.closed)
            return promise.futureResult
        }
        pings[session.ping()] = promise
        return promise.futureResult
    }

    /// Tells the peer that nothing more comes.
    package func goAway(_ code: UInt32 = YamuxSession.Code.normal) {
        session.goAway(code)
        flush()
    }

    /// Asks for a sign of life, again and again until the end.
    private func keepAlive() {
        let eventLoop = eventLoop.assumeIsolated()
        keepAliveTimer = eventLoop.scheduleTask(in: Self.keepAlive) { [weak self] in
            guard let self else { return }
            awaitAnswer(for: Self.keepAlive)
            ping().assumeIsolated().whenSuccess { [weak self] in
                self?.keepAliveTimer?.cancel()
                self?.keepAlive()
            }
        }
    }

    /// An answer may come late: behind the data that come before it.
    private func awaitAnswer(for time: TimeAmount) {
        keepAliveTimer = eventLoop.assumeIsolated().scheduleTask(in: time) { [weak self] in
            guard let self else { return }
            let silence = eventLoop.now - lastRead
            silence < Self.keepAlive ? awaitAnswer(for: Self.keepAlive - silence) : giveUp()
        }
    }

    /// The peer has gone without a word.
    private func giveUp() {
        let error = LibP2PError.timedOut(what: "an answer to a ping")
        end(error)
        context?.fireErrorCaught(error)
        context?.close(promise: nil)
    }

    // MARK: Streams

    private func begin(
        _ stream: YamuxStream, _ context: ChannelHandlerContext, _ setUp: (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<Void> {
        let channel = StreamChannel(stream, on: eventLoop, parent: context.channel)
        stream.channel = channel
        return setUp(channel).hop(to: eventLoop).flatMapThrowing {
            channel.activate()
            // What has happened meanwhile was told to a channel that was not ready.
            channel.deliver()
        }.flatMapErrorThrowing { error in
            channel.reset()
            throw error
        }
    }

    /// Tells streams, the host and the peer of what a batch of frames has brought.
    private func settle(_ context: ChannelHandlerContext) {
        let (touched, accepted, answered) = session.takeNews()
        // One that was reset in the same batch is nobody's.
        for stream in accepted where stream.streamFailure == nil { _ = begin(stream, context, accept) }
        for stream in touched { stream.tell() }
        for number in answered { pings.removeValue(forKey: number)?.succeed() }
        flush()
    }

    // MARK: From the connection

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        session.isWritable = context.channel.isWritable
        // The round trip, which windows grow by.
        _ = ping()
        keepAlive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        end(LibP2PError.closed)
        self.context = nil
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil else { return }
        isReading = true
        let before = session.refusedCount
        do {
            try session.receive(unwrapInboundIn(data))
        } catch {
            goAway(YamuxSession.Code.protocolError)
            end(error)
            context.fireErrorCaught(error)
            context.close(promise: nil)
        }
        if session.refusedCount > before { refused(session.refusedCount - before) }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        lastRead = eventLoop.now
        settle(context)
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        session.isWritable = context.channel.isWritable
        flush()
        context.fireChannelWritabilityChanged()
    }

    /// A socket's own error tells whether the peer was written to first, and streams nothing.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(error as? LibP2PError ?? ending)
        context.fireErrorCaught(error)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end(ending)
        context.fireChannelInactive()
    }

    private var ending: LibP2PError {
        session.peerGoAway.map { .goAway(code: $0) } ?? (session.wentAway ? .closed : .disconnected)
    }

    private func end(_ error: any Error) {
        guard failure == nil else { return }
        failure = error
        keepAliveTimer?.cancel()
        session.end(error)
        for stream in session.takeNews().touched { stream.tell() }
        for promise in pings.values { promise.fail(error) }
        pings = [:]
    }

    // MARK: To the connection

    private func scheduleFlush() {
        guard !isReading, !flushScheduled, context != nil else { return }
        flushScheduled = true
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute {
            reach.value.flushScheduled = false
            reach.value.flush()
        }
    }

    /// Sends what there is to send as long as the connection takes it.
    private func flush() {
        guard let context else { return }
        while context.channel.isWritable {
            if session.output.readableBytes > 0 {
                context.writeAndFlush(wrapOutboundOut(session.takeOutput()), promise: nil)
            }
            guard session.hasWaiting, session.isWritable else { return }
            session.resumeWriting()
            if session.output.readableBytes == 0 { return }
        }
    }
}
