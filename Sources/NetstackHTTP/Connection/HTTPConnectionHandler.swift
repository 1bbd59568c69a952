// The end of the pipeline of a connection or a stream: one exchange at a time, on the event loop.

import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPCompression
import NIOHTTPTypesHTTP1

/// Turns requests into channel writes and channel reads into responses.
///
/// The channel has `autoRead` off. A read is outstanding whenever bytes are welcome: while a response is awaited or its
/// reader keeps up, and between exchanges, so that the server's closing is noticed.
final class HTTPConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private enum State {
        /// Open and unused, and closed by the timer.
        case idle(Scheduled<Void>?)
        case exchanging(HTTPExchange)
        case closed
    }

    let origin: HTTPOrigin
    let configuration: HTTPClient.Configuration
    /// Whether it is for one exchange, and no business of the pool's.
    private let isStream: Bool
    /// Connections must not keep the pool of a client that has been dropped.
    private weak var pool: HTTPConnectionPool?
    private var state = State.idle(nil)
    private var context: ChannelHandlerContext?

    /// Of a connection that takes one request after the other, and tells `pool` when it can.
    init(_ origin: HTTPOrigin, _ configuration: HTTPClient.Configuration, pool: HTTPConnectionPool) {
        self.origin = origin
        self.configuration = configuration
        self.pool = pool
        isStream = false
    }

    /// Of a stream.
    init(ofStreamTo origin: HTTPOrigin, _ configuration: HTTPClient.Configuration) {
        self.origin = origin
        self.configuration = configuration
        isStream = true
    }

    private static let closed = HTTPClientError.connectionClosed(underlying: nil)

    // MARK: Opening

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if isStream { return }
        guard context.channel.isActive else { return close(Self.closed) }
        context.read()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        close(Self.closed)
        self.context = nil
    }

    // MARK: Requests

    /// Sends a request. The response's head, or the error, goes to `continuation`.
    func begin(
        _ id: HTTPExchange.ID, _ head: HTTPRequestHead, _ body: HTTPBody?, deadline: NIODeadline?,
        _ continuation: CheckedContinuation<HTTPClientResponse, any Error>
    ) {
        guard case .idle(let timer) = state, let context, context.channel.isActive else {
            return continuation.resume(throwing: UnansweredRequest(wasSent: false, cause: Self.closed))
        }
        timer?.cancel()
        let exchange = HTTPExchange(
            id, context.eventLoop, head: continuation, requestPersists: !isStream && head.isKeepAlive)
        exchange.hasNoContent = head.method == .HEAD
        state = .exchanging(exchange)
        exchange.totalTimer = deadline.map { deadline in
            context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
                fail(id, HTTPClientError.timedOut(.total))
            }
        }
        watchForSilence(exchange, in: context)

        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body, body.singlePiece == nil {
            context.flush()
            let connection = HTTPConnection(self, context.channel)
            exchange.upload = Task { await connection.upload(body, in: id) }
        } else {
            if let bytes = body?.singlePiece { context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil) }
            endRequest(exchange)
        }
        context.read()
    }

    /// Sends a piece of the request's body; `continuation` is resumed when there is room for another.
    func send(_ piece: ByteBuffer, in id: HTTPExchange.ID, _ continuation: CheckedContinuation<Void, any Error>) {
        guard let (exchange, context) = current(id) else { return continuation.resume(throwing: CancellationError()) }
        exchange.touch()
        exchange.sender = continuation
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(piece))), promise: nil)
        if context.channel.isWritable { resumeSender() }
    }

    /// All of the request's body has been sent.
    func endBody(in id: HTTPExchange.ID) {
        guard let (exchange, _) = current(id) else { return }
        exchange.upload = nil
        endRequest(exchange)
    }

    private func endRequest(_ exchange: HTTPExchange) {
        exchange.touch()
        context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        conclude(exchange, exchange.progress.requestDidEnd())
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { resumeSender() }
        context.fireChannelWritabilityChanged()
    }

    private func resumeSender() {
        guard case .exchanging(let exchange) = state, let sender = exchange.sender else { return }
        exchange.touch()
        exchange.sender = nil
        sender.resume()
    }

    // MARK: Responses

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .exchanging(let exchange) = state else { return close(Self.closed) }
        switch unwrapInboundIn(data) {
        case .head(let head):
            do {
                let response = try HTTPResponse(head)
                // The codec of HTTP/1 drops these by itself (RFC 9110 section 15.2).
                if response.status.kind == .informational, head.status != .switchingProtocols { return }
                // RFC 9110 section 6.4.1.
                if [204, 304].contains(head.status.code) || head.headers["content-length"] == ["0"] {
                    exchange.hasNoContent = true
                }
                exchange.progress.responseDidBegin(response.status, persists: head.isKeepAlive)
                let demand = ResponseDemand(
                    connection: HTTPConnection(self, context.channel), exchange: exchange.id)
                let (body, source) = HTTPResponseBody.make(demand)
                exchange.source = source
                exchange.head?.resume(
                    returning: HTTPClientResponse(
                        status: response.status, headerFields: response.headerFields, body: body))
                exchange.head = nil
            } catch {
                close(HTTPClientError.invalidResponse(underlying: error))
            }
        case .body(let chunk):
            exchange.chunks.append(chunk)
        case .end:
            deliver(exchange)
            conclude(exchange, exchange.progress.responseDidEnd())
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch state {
        case .exchanging(let exchange):
            exchange.touch()
            deliver(exchange)
            if exchange.wantsMore { context.read() }
        case .idle, .closed:
            // Closing TLS takes an answer, too.
            context.read()
        }
        context.fireChannelReadComplete()
    }

    /// Hands on what one read has brought, all at once: each hand-over may wake a task.
    private func deliver(_ exchange: HTTPExchange) {
        guard !exchange.chunks.isEmpty, let source = exchange.source else { return }
        exchange.wantsMore = source.yield(contentsOf: exchange.chunks) == .produceMore
        exchange.chunks.removeAll(keepingCapacity: true)
    }

    /// The reader of a response has caught up.
    func resumeReading(_ id: HTTPExchange.ID) {
        guard let (exchange, context) = current(id), !exchange.wantsMore else { return }
        exchange.wantsMore = true
        exchange.touch()
        context.read()
    }

    private func conclude(_ exchange: HTTPExchange, _ outcome: ExchangeProgress.Outcome) {
        guard case .finished(let isReusable) = outcome, let context else { return }
        exchange.stop(CancellationError())
        if isReusable, context.channel.isActive {
            state = .idle(
                context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.keepAlive)) { [self] in
                    close(Self.closed)
                })
            // Before the reader learns of the end, so that its next request finds the connection.
            if let pool {
                pool.didBecomeIdle(HTTPConnection(self, context.channel))
            } else {
                close(HTTPClientError.clientShutDown)
            }
        } else {
            state = .closed
            context.close(promise: nil)
        }
        exchange.source?.finish()
    }

    // MARK: Failures

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A body that is not there can't be decompressed, and its end follows.
        if case .exchanging(let exchange) = state, exchange.hasNoContent,
            (error as? NIOHTTPDecompression.ExtraDecompressionError) == .truncatedData
        {
            return
        }
        close(HTTPClientError(ofChannel: error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        close(Self.closed)
        pool?.didClose(context.channel, origin)
        context.fireChannelInactive()
    }

    /// Ends an exchange, unless it has ended already, and with it the connection.
    func fail(_ id: HTTPExchange.ID, _ error: any Error) {
        if current(id) != nil { close(error) }
    }

    /// Closes the connection; an exchange under way fails with `error`.
    func close(_ error: any Error) {
        let state = state
        if case .closed = state { return }
        self.state = .closed
        switch state {
        case .closed: break
        case .idle(let timer): timer?.cancel()
        case .exchanging(let exchange):
            exchange.stop(error)
            deliver(exchange)
            exchange.head?.resume(throwing: UnansweredRequest(error) ?? error)
            if exchange.progress.responseEnded, (error as? HTTPClientError)?.mayFollowAResponse == true {
                // The server did not wait for the rest of the request, but its response is whole.
                exchange.source?.finish()
            } else {
                exchange.source?.finish(error)
            }
        }
        context?.close(promise: nil)
    }

    /// Fails the exchange when only the server could go on, and it did nothing for as long as is allowed.
    private func watchForSilence(_ exchange: HTTPExchange, in context: ChannelHandlerContext) {
        let deadline = exchange.lastActivity + TimeAmount(configuration.idleTimeout)
        exchange.silenceTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            guard let (_, context) = current(exchange.id) else { return }
            if !exchange.awaitsServer { exchange.touch() }
            if exchange.lastActivity + TimeAmount(configuration.idleTimeout) <= context.eventLoop.now {
                close(HTTPClientError.timedOut(.idle))
            } else {
                watchForSilence(exchange, in: context)
            }
        }
    }

    private func current(_ id: HTTPExchange.ID) -> (HTTPExchange, ChannelHandlerContext)? {
        guard case .exchanging(let exchange) = state, exchange.id === id, let context else { return nil }
        return (exchange, context)
    }
}
