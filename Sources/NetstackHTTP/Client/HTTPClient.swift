// An HTTP client over whatever opens its connections: a userspace stack, for one.

public import HTTPTypes
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// Sends HTTP requests and keeps connections open between them. May be used from any task.
///
/// A request for an `https` URL is sent over TLS, by HTTP/2 where the server speaks that. Connections are kept for each scheme, host and port; an idempotent
/// request (RFC 9110 section 9.2.2) that finds its kept connection closed is sent once more on a fresh one.
public final class HTTPClient: Sendable {
    private let configuration: Configuration
    private let pool: HTTPConnectionPool

    /// A client that opens its connections through `dialer`.
    package init(dialer: any HTTPDialer, configuration: Configuration = Configuration()) {
        self.configuration = configuration
        pool = HTTPConnectionPool(dialer: dialer, configuration: configuration)
    }

    /// Closes all connections. Requests under way, and all later ones, fail with `HTTPClientError.clientShutDown`.
    public func shutdown() async {
        await pool.shutDown()
    }

    /// Fetches a URL.
    ///
    /// - Parameters:
    ///   - url: `scheme://host[:port]/path?query` with the scheme http or https; IPv6 addresses in brackets.
    ///   - headerFields: are sent with it.
    /// - Throws: as `execute(_:body:)`.
    public func get(_ url: String, headerFields: HTTPFields = [:]) async throws -> HTTPClientResponse {
        try await execute(HTTPRequest(.get, HTTPURL(url), headerFields), body: nil)
    }

    /// Fetches the head of what is at a URL.
    ///
    /// - Throws: as `execute(_:body:)`.
    public func head(_ url: String, headerFields: HTTPFields = [:]) async throws -> HTTPClientResponse {
        try await execute(HTTPRequest(.head, HTTPURL(url), headerFields), body: nil)
    }

    /// Posts to a URL.
    ///
    /// - Throws: as `execute(_:body:)`.
    public func post(
        _ url: String, body: HTTPBody, headerFields: HTTPFields = [:]
    ) async throws -> HTTPClientResponse {
        try await execute(HTTPRequest(.post, HTTPURL(url), headerFields), body: body)
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// The fields Host, Content-Length and Transfer-Encoding are the client's to set: values for them are ignored.
    /// Informational responses are skipped. Cancelling the task ends the exchange: the stream of
    /// HTTP/2, the connection of HTTP/1.1.
    ///
    /// - Parameters:
    ///   - request: with a scheme and an authority. CONNECT is not supported.
    ///   - body: may still be on its way when this returns. A response of success does not end before it is.
    /// - Throws: `HTTPClientError`, `CancellationError`, or what the body's sequence throws.
    public func execute(_ request: HTTPRequest, body: HTTPBody? = nil) async throws -> HTTPClientResponse {
        let deadline = configuration.totalTimeout.map { NIODeadline.now() + TimeAmount($0) }
        var request = request
        var body = body
        var url = try request.url()
        var redirects = 0
        while true {
            let response = try await send(request, body, to: url, deadline: deadline)
            guard case .follow(let limit) = configuration.redirects,
                let next = try Redirect(of: request, body, at: url, answeredBy: response)
            else { return response }
            redirects += 1
            guard redirects <= limit else { throw HTTPClientError.tooManyRedirects(limit: limit) }
            configuration.logger.debug("redirected", metadata: ["url": "\(next.url)"])
            await skip(response.body)
            (request, body, url) = (next.request, next.body, next.url)
        }
    }

    /// Reading a short body to its end keeps the connection; the next request is not worth failing for it, nor waiting long.
    private func skip(_ body: HTTPResponseBody) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await body.collect(upTo: 1 << 16) }
            group.addTask { try? await Task.sleep(for: .seconds(1)) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Sends a request over a kept connection if there is one that works, else over a fresh one.
    private func send(
        _ request: HTTPRequest, _ body: HTTPBody?, to url: HTTPURL, deadline: NIODeadline?
    ) async throws -> HTTPClientResponse {
        let head = try HTTPRequestHead(request, to: url, body)
        let origin = url.origin
        var logger = configuration.logger
        logger[metadataKey: "origin"] = "\(origin)"
        logger.debug("request", metadata: ["method": "\(head.method)", "path": "\(head.uri)"])
        var wantsFresh = false
        var attempt = 0
        while true {
            attempt += 1
            var isFresh = false
            do {
                let connection: HTTPConnection
                (connection, isFresh) = try await pool.connection(
                    to: origin, wantsFresh: wantsFresh, deadline: deadline)
                return try await connection.send(head, body, deadline: deadline)
            } catch let failure as UnansweredRequest {
                logger.debug("no answer", metadata: ["attempt": "\(attempt)", "error": "\(failure.cause)"])
                // A server may close each connection that is kept, or refuse stream after stream.
                let isReset = failure.cause.resetCode != nil
                guard !isFresh || isReset, attempt < Self.attemptLimit else { throw failure.cause }
                // What a server refuses has had its body sent, in part.
                if failure.wasSent || isReset {
                    guard body?.isReplayable ?? true else { throw failure.cause }
                }
                if failure.wasSent {
                    guard !wantsFresh, request.method.isIdempotent else { throw failure.cause }
                    wantsFresh = true
                }
            }
        }
    }

    /// How many connections and streams are tried for a request that no server has looked at.
    private static let attemptLimit = 16
}

extension HTTPRequest {
    init(_ method: Method, _ url: HTTPURL, _ headerFields: HTTPFields) {
        self.init(
            method: method, scheme: url.origin.scheme.rawValue, authority: url.origin.authority, path: url.path,
            headerFields: headerFields)
    }

    /// Where the request goes.
    ///
    /// - Throws: `HTTPClientError.invalidRequest` or `.invalidURL`.
    func url() throws(HTTPClientError) -> HTTPURL {
        guard method != .connect else { throw .invalidRequest(fault: "CONNECT is not supported") }
        guard let scheme, let authority else { throw .invalidRequest(fault: "it has no scheme or no authority") }
        return try HTTPURL(scheme: scheme, authority: authority, path: path ?? "/")
    }
}

extension HTTPRequest.Method {
    /// RFC 9110 section 9.2.2.
    var isIdempotent: Bool {
        [.get, .head, .options, .trace, .put, .delete].contains(self)
    }
}

extension HTTPRequestHead {
    /// What is sent for a request.
    ///
    /// - Throws: `HTTPClientError.invalidRequest` or `.invalidURL`.
    init(_ request: HTTPRequest, to url: HTTPURL, _ body: HTTPBody?) throws(HTTPClientError) {
        var request = request
        request.authority = nil
        request.path = url.path
        do {
            try self.init(request)
        } catch {
            throw .invalidRequest(fault: "\(error)")
        }
        // The Host field should be the first (RFC 9110 section 7.2).
        var framed: HTTPHeaders = ["Host": url.origin.authority]
        for name in ["Host", "Content-Length", "Transfer-Encoding"] { headers.remove(name: name) }
        framed.add(contentsOf: headers)
        if let body {
            if let length = body.length {
                framed.add(name: "Content-Length", value: "\(length)")
            } else {
                framed.add(name: "Transfer-Encoding", value: "chunked")
            }
        } else if [.post, .put, .patch].contains(request.method) {
            // Methods that anticipate content say that there is none (RFC 9110 section 8.6).
            framed.add(name: "Content-Length", value: "0")
        }
        headers = framed
    }
}
