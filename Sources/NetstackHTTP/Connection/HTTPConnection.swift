// What carries a request, for use from any task: a connection of HTTP/1.1, or a stream of HTTP/2.

import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOHTTPCompression

/// A channel that speaks HTTP in the parts of HTTP/1.
struct HTTPConnection: Identifiable, Sendable {
    let origin: HTTPOrigin
    let channel: any Channel
    private let handler: NIOLoopBound<HTTPConnectionHandler>

    var id: ObjectIdentifier { ObjectIdentifier(channel) }

    /// To be called on the channel's event loop.
    init(_ handler: HTTPConnectionHandler, _ channel: any Channel) {
        origin = handler.origin
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    /// Makes a fresh channel speak HTTP/1.1. To be called on its event loop.
    static func addHandlers(to channel: any Channel, _ handler: HTTPConnectionHandler) throws {
        // The request's length is ours to declare, not the encoder's to guess.
        var encoding = HTTPRequestEncoder.Configuration()
        encoding.automaticallySetFramingHeaders = false
        try channel.pipeline.syncOperations.addHTTPClientHandlers(encoderConfiguration: encoding)
        try addLast(to: channel, handler)
    }

    /// Makes a fresh stream fit for a request. To be called on its event loop.
    static func addHandlers(toStream stream: any Channel, _ handler: HTTPConnectionHandler) throws {
        try stream.pipeline.syncOperations.addHandlers(
            StatusHandler(), HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: .https))
        try addLast(to: stream, handler)
    }

    private static func addLast(to channel: any Channel, _ handler: HTTPConnectionHandler) throws {
        if let limit = handler.configuration.decompression.limit {
            try channel.pipeline.syncOperations.addHandler(NIOHTTPResponseDecompressor(limit: limit))
        }
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    /// Runs `body` on the event loop, later.
    func onLoop(_ body: @escaping @Sendable (HTTPConnectionHandler) -> Void) {
        channel.eventLoop.execute { body(handler.value) }
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// - Throws: `UnansweredRequest`, `HTTPClientError`, `CancellationError`, or what the body's sequence throws.
    func send(
        _ head: HTTPRequestHead, _ body: HTTPBody?, deadline: NIODeadline?
    ) async throws -> HTTPClientResponse {
        let id = HTTPExchange.ID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.begin(id, head, body, deadline: deadline, continuation) }
                // A cancellation before this point found no exchange to end.
                if Task.isCancelled { cancel(id) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: HTTPExchange.ID) {
        onLoop { $0.fail(id, CancellationError()) }
    }

    /// Sends the body of a request whose head is out.
    func upload(_ body: HTTPBody, in id: HTTPExchange.ID) async {
        do {
            try await body.forEachPiece { piece in
                try await withCheckedThrowingContinuation { continuation in
                    onLoop { $0.send(piece, in: id, continuation) }
                }
            }
            onLoop { $0.endBody(in: id) }
        } catch {
            onLoop { $0.fail(id, error) }
        }
    }

    /// Closes the connection, now; a request under way fails with `error`.
    func close(_ error: any Error) {
        onLoop { $0.close(error) }
    }
}
