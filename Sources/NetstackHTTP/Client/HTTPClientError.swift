// Every error an HTTP client can report.

import NIOHTTP1
import NIOHTTP2
import NIOHTTPCompression
import NIOSSL

/// What went wrong with a request.
///
/// Besides these a request throws `CancellationError` when its task is cancelled, and whatever the sequence behind its
/// body throws.
public enum HTTPClientError: Error, Sendable {
    /// `text` is not a URL this client can fetch; `fault` says why.
    case invalidURL(_ text: String, fault: String)
    /// The client does not send such a request; `fault` says why.
    case invalidRequest(fault: String)
    /// No connection could be opened to `origin`.
    case connectFailed(origin: String, underlying: any Error)
    /// TLS could not be established, or broke.
    case tls(underlying: any Error)
    /// A limit of the client's configuration has passed.
    case timedOut(Timeout)
    /// The server closed the connection before the response was complete, or has been found to be gone.
    case connectionClosed(underlying: (any Error)?)
    /// The stream of this exchange was reset, with an error code of RFC 9113 section 7; others went on.
    case streamReset(code: Int)
    /// What the server sent is not HTTP.
    case invalidResponse(underlying: any Error)
    /// The response's body is not compressed as it says, or longer than the configuration allows.
    case decompressionFailed(underlying: any Error)
    /// The request's body has another length than was declared, in bytes. `sent` counts up to the offending chunk.
    case bodyLengthMismatch(declared: Int, sent: Int)
    /// The response's body is longer than the caller's limit, in bytes.
    case bodyTooLarge(limit: Int)
    /// The server redirected more often than the configuration allows.
    case tooManyRedirects(limit: Int)
    /// As many requests to the same server as the configuration allows wait for a connection.
    case tooManyWaitingRequests(limit: Int)
    /// The client has been shut down.
    case clientShutDown

    /// Which limit has passed.
    public enum Timeout: String, Hashable, Sendable {
        /// For getting a connection: waiting for one that is free, or resolving, connecting and TLS.
        case connect
        /// For the next bytes from the server, or for room to send to it.
        case idle
        /// For the whole request, up to the end of the response's body.
        case total
    }
}

extension HTTPClientError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidURL(let text, let fault): "\"\(text)\" can't be fetched: \(fault)"
        case .invalidRequest(let fault): "request can't be sent: \(fault)"
        case .connectFailed(let origin, let underlying): "no connection to \(origin): \(underlying)"
        case .tls(let underlying): "TLS failed: \(underlying)"
        case .timedOut(.connect): "connection was not open in time"
        case .timedOut(.idle): "server was silent for too long"
        case .timedOut(.total): "response was not complete in time"
        case .connectionClosed(let underlying):
            "connection ended early" + (underlying.map { ": \($0)" } ?? "")
        case .streamReset(let code): "stream was reset: \(HTTP2ErrorCode(networkCode: code))"
        case .invalidResponse(let underlying): "server does not speak HTTP: \(underlying)"
        case .decompressionFailed(let underlying): "body can't be decompressed: \(underlying)"
        case .bodyLengthMismatch(let declared, let sent): "body of \(sent) bytes was declared to have \(declared)"
        case .bodyTooLarge(let limit): "body is longer than \(limit) bytes"
        case .tooManyRedirects(let limit): "more than \(limit) redirects"
        case .tooManyWaitingRequests(let limit): "\(limit) requests to this server wait already"
        case .clientShutDown: "client has been shut down"
        }
    }
}

extension HTTPClientError {
    /// What an error in a connection's pipeline means for its exchange.
    init(ofChannel error: any Error) {
        self =
            switch error {
            case let error as HTTPClientError: error
            // The end of the stream where the protocol has not ended (RFC 9112 section 8, RFC 8446 section 6.1).
            case HTTPParserError.invalidEOFState, NIOSSLError.uncleanShutdown: .connectionClosed(underlying: error)
            case is HTTPParserError, is NIOHTTPDecoderError: .invalidResponse(underlying: error)
            case let error as NIOHTTP2Errors.StreamClosed: .streamReset(code: error.errorCode.networkCode)
            case is any NIOHTTP2Error: .invalidResponse(underlying: error)
            case is NIOHTTPDecompression.DecompressionError, is NIOHTTPDecompression.ExtraDecompressionError:
                .decompressionFailed(underlying: error)
            case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: .tls(underlying: error)
            default: .connectionClosed(underlying: error)
            }
    }
}

/// A request that got no answer because its connection had closed, perhaps before the request was sent.
struct UnansweredRequest: Error {
    let wasSent: Bool
    let cause: HTTPClientError

    init(wasSent: Bool, cause: HTTPClientError) {
        self.wasSent = wasSent
        self.cause = cause
    }

    /// Of the error an exchange failed with before it got a response; nil if the connection did not just close.
    init?(_ error: any Error) {
        guard let cause = error as? HTTPClientError else { return nil }
        switch (cause, cause.resetCode) {
        // The server has not looked at the request (RFC 9113 section 8.7).
        case (_, .refusedStream): self.init(wasSent: false, cause: cause)
        // What becomes of the streams that the last words of a connection leave out (RFC 9113 section 6.8).
        case (_, .cancel): self.init(wasSent: true, cause: cause)
        // A part of a head is an answer.
        case (.connectionClosed(let underlying), _) where !(underlying is HTTPParserError):
            self.init(wasSent: true, cause: cause)
        default: return nil
        }
    }
}

extension HTTPClientError {
    /// Why a stream was reset.
    var resetCode: HTTP2ErrorCode? {
        if case .streamReset(let code) = self { HTTP2ErrorCode(networkCode: code) } else { nil }
    }

    /// Whether it is what a server does that has sent a whole response and does not want the rest of the request: it closes
    /// the connection (RFC 9112 section 9.6), or resets the stream without an error (RFC 9113 section 8.1).
    var mayFollowAResponse: Bool {
        if case .connectionClosed = self { true } else { resetCode == .noError }
    }
}
