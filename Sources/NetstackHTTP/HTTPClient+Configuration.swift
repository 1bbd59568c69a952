// The settings of an HTTP client.

public import Logging
public import NIOSSL

extension HTTPClient {
    /// Limits and policies of a client.
    public struct Configuration: Sendable {
        /// How long opening a connection may take, TLS included.
        public var connectTimeout: Duration = .seconds(10)
        /// How long the server may do nothing while it is its turn. A slow reader of the response does not count.
        public var idleTimeout: Duration = .seconds(60)
        /// How long a request may take up to the end of its response's body; nil for any time.
        public var totalTimeout: Duration?
        public var redirects = RedirectPolicy.never
        /// Verifies certificates by default. The application protocol is always HTTP/1.1.
        public var tls = TLSConfiguration.makeClientConfiguration()
        /// How many connections are kept for each scheme, host and port.
        public var maximumIdleConnectionsPerOrigin = 8
        /// How long a connection is kept for the next request.
        public var keepAlive: Duration = .seconds(60)
        public var logger: Logger

        public init(logger: Logger = Logger(label: "netstack.http")) {
            self.logger = logger
        }
    }

    /// What is done with a response that redirects.
    public enum RedirectPolicy: Hashable, Sendable {
        /// It is returned.
        case never
        /// It is followed, at most `max` times for one request. One that asks for a streamed body again is returned.
        case follow(max: Int)
    }
}
