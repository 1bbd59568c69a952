// The settings of an HTTP client.

public import Logging
import NIOHTTPCompression
public import NIOSSL

extension HTTPClient {
    /// Limits and policies of a client.
    public struct Configuration: Sendable {
        /// How long it may take to get a connection: waiting for one that is free, or resolving, connecting to whichever
        /// address answers, and TLS.
        public var connectTimeout: Duration = .seconds(10)
        /// How long the server may do nothing while it is its turn. A slow reader of the response does not count. Whatever this
        /// is, a connection of HTTP/2 that is silent is given up after 30 seconds, half of them after a ping; later where
        /// earlier pings have brought nothing but their answers.
        public var idleTimeout: Duration = .seconds(60)
        /// How long a request may take up to the end of its response's body; nil for any time.
        public var totalTimeout: Duration?
        /// Whether redirects are followed.
        public var redirects = RedirectPolicy.never
        /// Whether bodies are asked for in compressed form, and decompressed.
        public var decompression = DecompressionPolicy.never
        /// Verifies certificates by default. Where it names no application protocols, the server is offered HTTP/2 and
        /// HTTP/1.1.
        public var tls = TLSConfiguration.makeClientConfiguration()
        /// How many connections of HTTP/1.1 there may be to each scheme, host and port. Requests beyond that wait.
        public var maximumConnectionsPerOrigin = 64
        /// How many connections are kept for each scheme, host and port.
        public var maximumIdleConnectionsPerOrigin = 8
        /// How many requests to each scheme, host and port may wait for a connection.
        public var maximumWaitingRequestsPerOrigin = 1024
        /// How long a connection is kept for the next request.
        public var keepAlive: Duration = .seconds(60)
        /// Hears of connections and of what is sent again, at level debug.
        public var logger: Logger

        /// What most clients do well with.
        ///
        /// - Parameter logger: hears of what fails and of what is tried again.
        public init(logger: Logger = Logger(label: "netstack.http")) {
            self.logger = logger
        }
    }

    /// What is done with a response that redirects.
    public enum RedirectPolicy: Hashable, Sendable {
        /// It is returned.
        case never
        /// It is followed, at most `max` times for one request. One that asks for a streamed body again, or leads from
        /// https to http, is returned.
        case follow(max: Int)
    }

    /// What is done with a response whose body is compressed (RFC 9110 section 8.4.1).
    public enum DecompressionPolicy: Hashable, Sendable {
        /// It is returned as it is, and the server is told of nothing.
        case never
        /// The server is told that gzip and deflate are welcome, and bodies of these are decompressed, up to so many bytes.
        case upTo(Int)

        var limit: NIOHTTPDecompression.DecompressionLimit? {
            switch self {
            case .never: nil
            case .upTo(let count): .size(count)
            }
        }
    }
}
