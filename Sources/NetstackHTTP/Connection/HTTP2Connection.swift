// A connection of HTTP/2, for use from any task.

import NIOCore
import NIOHTTP2

/// A channel whose streams carry requests side by side (RFC 9113).
struct HTTP2Connection: Identifiable, Sendable {
    let origin: HTTPOrigin
    let channel: any Channel
    private let handler: NIOLoopBound<HTTP2ConnectionHandler>

    var id: ObjectIdentifier { ObjectIdentifier(channel) }

    /// To be called on the channel's event loop.
    private init(_ origin: HTTPOrigin, _ channel: any Channel, _ handler: HTTP2ConnectionHandler) {
        self.origin = origin
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    /// Makes a channel speak HTTP/2. To be called on its event loop.
    static func setUp(
        _ channel: any Channel, _ origin: HTTPOrigin, _ configuration: HTTPClient.Configuration,
        pool: HTTPConnectionPool
    ) throws -> HTTP2Connection {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        // Nothing may be pushed (RFC 9113 section 8.4).
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.windowSize),
            HTTP2Setting(parameter: .maxHeaderListSize, value: 1 << 16),
        ]
        connection.targetWindowSize = 1 << 22
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = Self.windowSize
        stream.outboundBufferSizeHighWatermark = 1 << 18
        stream.outboundBufferSizeLowWatermark = 1 << 16
        let multiplexer = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: connection, streamConfiguration: stream,
            // None can come.
            inboundStreamInitializer: { $0.close() })
        let pings = HTTP2PingHandler()
        let handler = HTTP2ConnectionHandler(origin, configuration, multiplexer, pings, pool: pool)
        try channel.pipeline.syncOperations.addHandlers(pings, handler)
        try channel.syncOptions?.setOption(.autoRead, value: true)
        return HTTP2Connection(origin, channel, handler)
    }

    /// What a stream may bring before anybody has read it, in bytes.
    private static let windowSize = 1 << 18

    /// Runs `body` on the event loop with the number of streams that the server takes: before that changes.
    func withStreamLimit(_ body: @escaping @Sendable (Int) -> Void) async throws {
        try await channel.eventLoop.submit { body(handler.value.streamLimit) }.get()
    }

    /// Opens a stream for one request.
    ///
    /// - Throws: `UnansweredRequest` if the connection takes none any more.
    func openStream() async throws -> HTTPConnection {
        do {
            return try await channel.eventLoop.submit { try handler.value.openStream() }.flatMap { $0 }.get()
        } catch {
            throw UnansweredRequest(wasSent: false, cause: .connectionClosed(underlying: error))
        }
    }

    /// Closes the connection, now; requests under way fail with `error`.
    func close(_ error: any Error) {
        channel.eventLoop.execute { handler.value.close(error) }
    }
}
