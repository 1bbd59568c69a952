// The end of the pipeline of a connection of HTTP/2: its streams, and what the server says about the whole of it.

import NIOCore
import NIOHTTP2

/// Opens streams, and tells the pool how many there may be.
final class HTTP2ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    /// How many streams the server takes. RFC 9113 section 6.5.2 wants that to be a hundred at least.
    private(set) var streamLimit = 100
    private let origin: HTTPOrigin
    private let configuration: HTTPClient.Configuration
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let pings: HTTP2PingHandler
    private weak var pool: HTTPConnectionPool?
    private var context: ChannelHandlerContext?
    private var streams: [ObjectIdentifier: HTTPConnectionHandler] = [:] {
        didSet { pings.streamCount = streams.count }
    }
    /// Whether no more streams are opened: the server takes none (RFC 9113 section 6.8), or the connection is closing.
    private var isRetired = false
    /// Closes the connection when it has had no streams for long enough.
    private var idleTimer: Scheduled<Void>?

    init(
        _ origin: HTTPOrigin, _ configuration: HTTPClient.Configuration,
        _ multiplexer: NIOHTTP2Handler.StreamMultiplexer, _ pings: HTTP2PingHandler, pool: HTTPConnectionPool
    ) {
        self.origin = origin
        self.configuration = configuration
        self.multiplexer = multiplexer
        self.pings = pings
        self.pool = pool
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        idleTimer?.cancel()
        self.context = nil
    }

    // MARK: Streams

    func openStream() throws -> EventLoopFuture<HTTPConnection> {
        guard let context, context.channel.isActive, !isRetired else { throw Self.closed }
        idleTimer?.cancel()
        let handler = HTTPConnectionHandler(ofStreamTo: origin, configuration)
        let reach = NIOLoopBound((self, handler), eventLoop: context.eventLoop)
        return multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                let (connection, handler) = reach.value
                connection.streams[ObjectIdentifier(stream)] = handler
                stream.closeFuture.whenComplete { _ in reach.value.0.streamClosed(ObjectIdentifier(stream)) }
                try stream.syncOptions?.setOption(.autoRead, value: false)
                try HTTPConnection.addHandlers(toStream: stream, handler)
            }
        }.map { HTTPConnection(reach.value.1, $0) }
    }

    private func streamClosed(_ id: ObjectIdentifier) {
        streams[id] = nil
        if let context { pool?.streamClosed(of: ObjectIdentifier(context.channel), origin) }
        if streams.isEmpty { isRetired ? close(Self.closed) : waitForStreams() }
    }

    private func waitForStreams() {
        idleTimer?.cancel()
        idleTimer = context?.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(configuration.keepAlive)) {
            [self] in
            if streams.isEmpty { close(Self.closed) }
        }
    }

    // MARK: The connection

    private static let closed = HTTPClientError.connectionClosed(underlying: nil)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let id = ObjectIdentifier(context.channel)
        switch unwrapInboundIn(data).payload {
        case .settings(.settings(let settings)):
            for setting in settings where setting.parameter == .maxConcurrentStreams {
                streamLimit = setting.value
                pool?.setStreamLimit(streamLimit, of: id, origin)
            }
        case .goAway:
            isRetired = true
            pool?.retire(id, origin)
            if streams.isEmpty { close(Self.closed) }
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !Self.concernsOneStream(error) { close(HTTPClientError(ofChannel: error)) }
    }

    /// Whether the stream with the error has been reset, and the connection goes on (RFC 9113 section 5.4.2).
    private static func concernsOneStream(_ error: any Error) -> Bool {
        switch error {
        case is NIOHTTP2Errors.ContentLengthViolated, is NIOHTTP2Errors.ContentLengthHeadersMismatch,
            is NIOHTTP2Errors.ContentLengthHeaderNegative, is NIOHTTP2Errors.ContentLengthHeaderMalformedValue,
            is NIOHTTP2Errors.InvalidHTTP2HeaderFieldName, is NIOHTTP2Errors.InvalidHTTP2HeaderFieldValue,
            is NIOHTTP2Errors.ForbiddenHeaderField, is NIOHTTP2Errors.InvalidPseudoHeaderValue,
            is NIOHTTP2Errors.MissingPseudoHeader, is NIOHTTP2Errors.DuplicatePseudoHeader,
            is NIOHTTP2Errors.PseudoHeaderAfterRegularHeader, is NIOHTTP2Errors.UnknownPseudoHeader,
            is NIOHTTP2Errors.InvalidPseudoHeaders, is NIOHTTP2Errors.InvalidStatusValue,
            is NIOHTTP2Errors.TrailersWithoutEndStream, is NIOHTTP2Errors.StreamError:
            true
        default: false
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        close(Self.closed)
        pool?.didClose(session: ObjectIdentifier(context.channel), origin)
        context.fireChannelInactive()
    }

    /// Closes the connection, now; requests under way fail with `error`.
    func close(_ error: any Error) {
        // Closing takes an answer of TLS, too: meanwhile nobody may be sent here.
        isRetired = true
        if let context { pool?.retire(ObjectIdentifier(context.channel), origin) }
        for stream in streams.values { stream.close(error) }
        context?.close(promise: nil)
    }
}
