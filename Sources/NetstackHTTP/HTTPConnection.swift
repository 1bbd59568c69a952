// A connection to a server, for use from any task.

import NIOCore
import NIOHTTP1
import NIOSSL

/// A channel that speaks HTTP/1.1.
struct HTTPConnection: Identifiable, Sendable {
    let origin: HTTPOrigin
    let channel: any Channel
    private let handler: NIOLoopBound<HTTPConnectionHandler>

    var id: ObjectIdentifier { ObjectIdentifier(channel) }

    /// To be called on the channel's event loop.
    init(_ origin: HTTPOrigin, _ handler: HTTPConnectionHandler, _ channel: any Channel) {
        self.origin = origin
        self.channel = channel
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    /// Puts the handlers on a fresh channel. To be called on its event loop.
    ///
    /// - Parameter tls: required if the origin's scheme is https.
    static func setUp(
        _ channel: any Channel, _ tls: NIOSSLContext?, _ origin: HTTPOrigin, _ handler: HTTPConnectionHandler
    ) throws -> HTTPConnection {
        let pipeline = channel.pipeline.syncOperations
        // The request's length is ours to declare, not the encoder's to guess.
        var encoding = HTTPRequestEncoder.Configuration()
        encoding.automaticallySetFramingHeaders = false
        try pipeline.addHTTPClientHandlers(encoderConfiguration: encoding)
        try pipeline.addHandler(handler)
        if let tls {
            // Last, because it begins at once.
            let tlsHandler = try NIOSSLClientHandler(context: tls, serverHostname: origin.serverName)
            try pipeline.addHandler(tlsHandler, position: .first)
        }
        return HTTPConnection(origin, handler, channel)
    }

    /// Runs `body` on the event loop, later.
    func onLoop(_ body: @escaping @Sendable (HTTPConnectionHandler) -> Void) {
        channel.eventLoop.execute { body(handler.value) }
    }

    /// Waits until requests can be sent. A connection that is not open by the deadline, or when the task is cancelled,
    /// is closed.
    ///
    /// - Throws: `HTTPClientError`, `CancellationError`.
    func waitUntilOpen(deadline: NIODeadline) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onLoop { $0.waitUntilOpen(deadline: deadline, continuation) }
            }
        } onCancel: {
            close(CancellationError())
        }
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
