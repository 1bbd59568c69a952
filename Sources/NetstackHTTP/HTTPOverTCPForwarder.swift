// Serves HTTP from within the process to whatever is dialled on a NIC.

public import HTTPTypes
public import Logging
public import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
public import Netstack
import NetstackNIO

/// Answers every connection that peers open, to any address and port, with an HTTP/1.1 server whose handler runs here.
///
/// At an exit it takes the place of the host's network: set it up on a promiscuous NIC.
public struct HTTPOverTCPForwarder: Sendable {
    public struct Request: Sendable {
        public let head: HTTPRequest
        /// Who asks, and whom they dialled.
        public let source: TransportAddress
        public let destination: TransportAddress
        /// The body as it arrives. What the handler leaves unread is skipped.
        public let body: Body
    }

    public struct Response: Sendable {
        public var head: HTTPResponse
        public var body: ByteBuffer

        public init(
            _ status: HTTPResponse.Status = .ok, headerFields: HTTPFields = [:], body: ByteBuffer = ByteBuffer()
        ) {
            head = HTTPResponse(status: status, headerFields: headerFields)
            self.body = body
        }
    }

    /// Answers a request. An error is answered with status 500.
    public typealias Handler = @Sendable (Request) async throws -> Response

    private let logger: Logger
    private let handler: Handler

    public init(logger: Logger = Logger(label: "netstack.http.forwarder"), handler: @escaping Handler) {
        self.logger = logger
        self.handler = handler
    }

    /// Takes over the connections dialled on a NIC that no listener of the stack answers.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forward(on: nic) { _, interface in interface.tcpHandler = forward }
    }

    @Sendable private func forward(_ request: TCPForwardRequest) {
        let (source, destination) = (request.source, request.destination)
        request.accept { result in
            guard case .success(let block) = result else { return }
            do {
                let channel = TCPChannel(block)
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                let connection = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
                    wrappingChannelSynchronously: channel)
                channel.activate()
                Task { await serve(connection, source, destination) }
            } catch {
                logger.error("no HTTP pipeline", metadata: ["error": "\(error)"])
                block.reset()
            }
        }
    }

    private func serve(
        _ connection: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>, _ source: TransportAddress,
        _ destination: TransportAddress
    ) async {
        do {
            try await connection.executeThenClose { inbound, outbound in
                let parts = Parts(inbound.makeAsyncIterator())
                while case .head(let head)? = try await parts.next() {
                    let body = Body(parts: parts)
                    let response = await respond(
                        Request(head: head, source: source, destination: destination, body: body))
                    for try await _ in body {}
                    var answer = response.head
                    answer.headerFields[.contentLength] = "\(response.body.readableBytes)"
                    try await outbound.write(.head(answer))
                    if head.method != .head { try await outbound.write(.body(response.body)) }
                    try await outbound.write(.end(nil))
                }
            }
        } catch {
            logger.debug("connection ended", metadata: ["from": "\(source)", "error": "\(error)"])
        }
    }

    private func respond(_ request: Request) async -> Response {
        do {
            return try await handler(request)
        } catch {
            logger.warning("handler failed", metadata: ["path": "\(request.head.path ?? "")", "error": "\(error)"])
            return Response(.internalServerError)
        }
    }
}

extension HTTPOverTCPForwarder {
    /// The body of a request.
    public struct Body: AsyncSequence, AsyncIteratorProtocol, Sendable {
        fileprivate let parts: Parts

        public func makeAsyncIterator() -> Body { self }

        public func next() async throws -> ByteBuffer? { try await parts.nextOfBody() }
    }

    /// The parts of a connection's requests in turn. Unchecked: a connection is served by one task, which passes this to its
    /// handler and waits for that to return.
    fileprivate final class Parts: @unchecked Sendable {
        private var iterator: NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator
        private var inBody = false

        init(_ iterator: NIOAsyncChannelInboundStream<HTTPRequestPart>.AsyncIterator) { self.iterator = iterator }

        func next() async throws -> HTTPRequestPart? {
            let part = try await iterator.next()
            inBody = if case .head? = part { true } else { false }
            return part
        }

        func nextOfBody() async throws -> ByteBuffer? {
            guard inBody, let part = try await iterator.next() else { return nil }
            if case .body(let bytes) = part { return bytes }
            inBody = false
            return nil
        }
    }
}
