// Serves HTTP from within the process to whatever is dialled on a NIC.

public import HTTPTypes
public import Logging
public import NIOCore
public import Netstack
import NetstackNIO

/// Answers every connection that peers open, to any address and port, with an HTTP server that runs here.
///
/// At an exit it takes the place of the host's network: set it up on a promiscuous NIC.
///
/// ```swift
/// let forwarder = HTTPOverTCPForwarder { request in
///     .init(body: .text("You have asked for \(request.head.path ?? "/").\n"))
/// }
/// try await forwarder.attach(to: stack, nic: 1)
/// ```
public struct HTTPOverTCPForwarder: Sendable {
    /// What a client asks for, and over which connection.
    public struct Request: Sendable {
        /// Method, path and fields.
        public let head: HTTPRequest
        /// Who asks.
        public let source: TransportAddress
        /// Whom they dialled.
        public let destination: TransportAddress
        /// The body as it arrives. What the handler leaves unread is skipped, once the answer has gone out.
        public let body: Body
    }

    /// The body of a request.
    public struct Body: AsyncSequence, AsyncIteratorProtocol, Sendable {
        let requests: HTTPServerRequests

        public func makeAsyncIterator() -> Body { self }

        public func next() async throws -> ByteBuffer? { try await requests.nextOfBody() }
    }

    /// An answer.
    public struct Response: Sendable {
        /// Status and fields.
        public var head: HTTPResponse
        /// Its length decides how it is framed, whatever the fields of `head` say. Where no body may be sent, as in an
        /// answer to HEAD, it is not asked for.
        public var body: HTTPBody

        /// An answer with a status, fields and a body; empty and successful by default.
        public init(
            _ status: HTTPResponse.Status = .ok, headerFields: HTTPFields = [:], body: HTTPBody = .bytes(ByteBuffer())
        ) {
            self.init(HTTPResponse(status: status, headerFields: headerFields), body: body)
        }

        /// An answer with a head and a body.
        public init(_ head: HTTPResponse, body: HTTPBody) {
            self.head = head
            self.body = body
        }
    }

    /// Answers a request. An error is answered with status 500, and so is a status that is informational (1xx); an error of a
    /// body that is being sent ends the connection.
    public typealias Handler = @Sendable (Request) async throws -> Response

    private typealias Service = @Sendable () async -> Void

    private let logger: Logger
    private let initializer: @Sendable (any Channel) -> EventLoopFuture<Service>

    /// Serves HTTP/1.1, and HTTP/1.0 with one request for each connection.
    public init(logger: Logger = Logger(label: "netstack.http.forwarder"), handler: @escaping Handler) {
        self.init(logger: logger) { channel in
            channel.eventLoop.makeCompletedFuture { try HTTPServerConnection(channel) }
        } serve: { connection in
            await connection.serve(handler, logger)
        }
    }

    /// Serves with the server of another library, such as that of a Hummingbird application.
    ///
    /// - Parameters:
    ///   - logger: hears of connections that could not be set up.
    ///   - channelInitializer: adds handlers to the channel of a connection before it is active. Its remote address is who
    ///     asks, and its local one whom they dialled.
    ///   - serve: runs in a task of its own for each connection, with what the initializer has made of it.
    public init<Connection: Sendable>(
        logger: Logger = Logger(label: "netstack.http.forwarder"),
        channelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Connection>,
        serve: @escaping @Sendable (Connection) async -> Void
    ) {
        self.logger = logger
        initializer = { channel in
            channelInitializer(channel).map { connection in { await serve(connection) } }
        }
    }

    /// Takes over the connections dialled on a NIC that no listener of the stack answers.
    ///
    /// - Throws: `NetstackError.noSuchNIC`.
    public func attach(to stack: isolated Stack, nic: NICID) throws {
        try stack.forward(on: nic) { _, interface in interface.tcpHandler = forward }
    }

    @Sendable private func forward(_ request: TCPForwardRequest) {
        request.accept { result in
            guard case .success(let block) = result else { return }
            let channel = TCPChannel(block)
            initializer(channel).hop(to: channel.eventLoop).assumeIsolated().whenComplete { result in
                switch result {
                case .success(let serve):
                    channel.activate()
                    Task { await serve() }
                case .failure(let error):
                    logger.error("no HTTP pipeline", metadata: ["error": "\(error)"])
                    channel.close(promise: nil)
                }
            }
        }
    }
}
