// The server's end of a connection: requests in, answers out, one after the other.

import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Netstack

struct HTTPServerConnection: Sendable {
    typealias Connection = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    typealias Request = HTTPOverTCPForwarder.Request
    typealias Response = HTTPOverTCPForwarder.Response

    /// A writer hears that there is no room from the event loop, which has yet to see what was written: it may be ahead of it
    /// by so many bytes.
    private static let unseenLimit = 1 << 18
    /// How long a client may go on with a request after its last answer.
    private static let lingering = TimeAmount.seconds(2)

    private let connection: Connection
    private let source: TransportAddress
    private let destination: TransportAddress

    /// Adds handlers to a channel, on its event loop.
    init(_ channel: any Channel) throws {
        guard let source = channel.remoteAddress.flatMap(TransportAddress.init) else {
            throw ChannelError.ioOnClosedChannel
        }
        guard let destination = channel.localAddress.flatMap(TransportAddress.init) else {
            throw ChannelError.unknownLocalAddress
        }
        // A client may say that it has no more to ask, and wait for its answer.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: false)
        try channel.pipeline.syncOperations.addHandler(HTTP1ServerHandler())
        try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
        connection = try Connection(wrappingChannelSynchronously: channel)
        self.source = source
        self.destination = destination
    }

    /// Answers requests until either end closes.
    func serve(_ handler: HTTPOverTCPForwarder.Handler, _ logger: Logger) async {
        do {
            try await connection.executeThenClose { inbound, outbound in
                let requests = HTTPServerRequests(inbound, outbound)
                while let head = try await requests.nextHead() {
                    let request = Request(
                        head: head, source: source, destination: destination, body: .init(requests: requests))
                    let response = await respond(to: request, handler, logger)
                    let isLast = try await send(response, to: head, requests, outbound)
                    // Closing with bytes unread would be a reset, and might take the answer with it; but a client that never
                    // comes to an end is not waited for (RFC 9112 §9.6).
                    let end = isLast ? scheduleClose() : nil
                    defer { end?.cancel() }
                    try await requests.skipBody()
                    if isLast { break }
                }
            }
        } catch {
            logger.debug("connection ended", metadata: ["from": "\(source)", "error": "\(error)"])
        }
    }

    private func scheduleClose() -> Scheduled<Void> {
        let channel = connection.channel
        return channel.eventLoop.scheduleTask(in: Self.lingering) { channel.close(promise: nil) }
    }

    private func respond(
        to request: Request, _ handler: HTTPOverTCPForwarder.Handler, _ logger: Logger
    ) async -> Response {
        do {
            let response = try await handler(request)
            guard response.head.status.kind == .informational else { return response }
            logger.warning("an answer can't be informational", metadata: ["status": "\(response.head.status)"])
            return Response(.internalServerError)
        } catch {
            logger.warning("handler failed", metadata: ["path": "\(request.head.path ?? "")", "error": "\(error)"])
            return Response(.internalServerError)
        }
    }

    /// Returns whether the connection is to end.
    private func send(
        _ response: Response, to request: HTTPRequest, _ requests: HTTPServerRequests,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    ) async throws -> Bool {
        // A body that is made while it is sent may be made of the request's.
        if !response.body.isReplayable { try await requests.askForBody() }
        let isLast =
            request.headerFields.askToClose || response.head.headerFields.askToClose || requests.awaitsPermission
        var head = response.head
        if isLast { head.headerFields[.connection] = "close" }
        let mayHaveBody = ![.noContent, .notModified].contains(head.status)
        let hasBody = mayHaveBody && request.method != .head
        if hasBody { head.headerFields[.transferEncoding] = nil }
        // An answer to HEAD may tell of a length that its body, which does not go out, does not have.
        if hasBody || mayHaveBody && head.headerFields[.contentLength] == nil {
            head.headerFields[.contentLength] = response.body.length.map(String.init)
        }
        try await outbound.write(.head(head))
        if hasBody { try await send(response.body, outbound) }
        try await outbound.write(.end(nil))
        return isLast
    }

    private func send(_ body: HTTPBody, _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>) async throws {
        var unseen = 0
        try await body.forEachPiece { piece in
            try await outbound.write(.body(piece))
            unseen += piece.readableBytes
            guard unseen >= Self.unseenLimit else { return }
            unseen = 0
            try await connection.channel.eventLoop.submit {}.get()
        }
    }
}

/// The parts of a connection's requests in turn. Unchecked: a connection is served by one task, which passes this to its
/// handler and waits for that to return.
final class HTTPServerRequests: @unchecked Sendable {
    private var inbound: NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    private var inBody = false
    /// Whether the client sends its body only once it has been told to go on (RFC 9110 §10.1.1).
    private(set) var awaitsPermission = false

    init(
        _ inbound: NIOAsyncChannelInboundStream<HTTPRequestPart>,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPResponsePart>
    ) {
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
    }

    /// The head of the next request, after the body of the last one. Nil at the end of the connection.
    func nextHead() async throws -> HTTPRequest? {
        guard case .head(let head)? = try await inbound.next() else { return nil }
        inBody = true
        awaitsPermission = head.headerFields[.expect]?.lowercased() == "100-continue"
        return head
    }

    func nextOfBody() async throws -> ByteBuffer? {
        try await askForBody()
        return try await readBody()
    }

    func askForBody() async throws {
        guard awaitsPermission else { return }
        awaitsPermission = false
        try await outbound.write(.head(HTTPResponse(status: .continue)))
    }

    func skipBody() async throws {
        while try await readBody() != nil {}
    }

    private func readBody() async throws -> ByteBuffer? {
        guard inBody, let part = try await inbound.next() else { return nil }
        if case .body(let bytes) = part { return bytes }
        inBody = false
        return nil
    }
}

extension HTTPFields {
    fileprivate var askToClose: Bool {
        self[values: .connection].contains { value in
            value.lowercased().split { $0 == "," || $0.isWhitespace }.contains("close")
        }
    }
}
