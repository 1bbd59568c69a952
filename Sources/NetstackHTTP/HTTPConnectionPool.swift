// Opens connections and keeps them for the next request.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOSSL

/// The connections of a client. May be used from any task.
final class HTTPConnectionPool: Sendable {
    private let dialer: any HTTPDialer
    private let configuration: HTTPClient.Configuration
    private let state: NIOLockedValueBox<IdleConnections<HTTPConnection>>
    /// Made when the first https URL is fetched: reading the trusted roots takes a while.
    private let tls = NIOLockedValueBox<NIOSSLContext?>(nil)

    init(dialer: any HTTPDialer, configuration: HTTPClient.Configuration) {
        self.dialer = dialer
        self.configuration = configuration
        state = NIOLockedValueBox(IdleConnections(limit: configuration.maximumIdleConnectionsPerOrigin))
    }

    deinit {
        for connection in state.withLockedValue({ $0.waiting }) { connection.close(HTTPClientError.clientShutDown) }
    }

    /// Takes a connection that waits for a request; it may have been closed by the server meanwhile.
    ///
    /// - Throws: `HTTPClientError.clientShutDown`.
    func takeIdle(_ origin: HTTPOrigin) throws(HTTPClientError) -> HTTPConnection? {
        let (isShutDown, connection) = state.withLockedValue { ($0.isShutDown, $0.take(origin)) }
        if isShutDown { throw .clientShutDown }
        return connection
    }

    /// Opens a connection.
    ///
    /// - Parameter deadline: when the whole request has to be done.
    /// - Throws: `HTTPClientError`, `CancellationError`.
    func connect(to origin: HTTPOrigin, deadline: NIODeadline?) async throws -> HTTPConnection {
        let tls = origin.scheme == .https ? try tlsContext() : nil
        let connectDeadline = NIODeadline.now() + TimeAmount(configuration.connectTimeout)
        let limit = min(connectDeadline, deadline ?? .distantFuture)
        configuration.logger.debug("connecting", metadata: ["origin": "\(origin)"])
        do {
            let timeout = Duration(max(.zero, limit - .now()))
            let channel = try await dialer.dial(host: origin.host, port: origin.port, timeout: timeout)
            let connection = try await setUp(channel, tls, origin)
            guard state.withLockedValue({ $0.insert(connection) }) else {
                connection.close(HTTPClientError.clientShutDown)
                throw HTTPClientError.clientShutDown
            }
            try await connection.waitUntilOpen(deadline: limit)
            return connection
        } catch let error as CancellationError {
            throw error
        } catch HTTPClientError.timedOut {
            throw HTTPClientError.timedOut(limit == connectDeadline ? .connect : .total)
        } catch HTTPClientError.connectionClosed(let underlying) {
            throw HTTPClientError.connectFailed(origin: "\(origin)", underlying: underlying ?? ChannelError.eof)
        } catch let error as HTTPClientError {
            throw error
        } catch {
            throw HTTPClientError.connectFailed(origin: "\(origin)", underlying: error)
        }
    }

    private func setUp(
        _ channel: any Channel, _ tls: NIOSSLContext?, _ origin: HTTPOrigin
    ) async throws -> HTTPConnection {
        do {
            return try await channel.eventLoop.submit { [configuration] in
                let handler = HTTPConnectionHandler(origin, configuration, pool: self)
                return try HTTPConnection.setUp(channel, tls, origin, handler)
            }.get()
        } catch {
            channel.close(promise: nil)
            throw error
        }
    }

    private func tlsContext() throws(HTTPClientError) -> NIOSSLContext {
        do {
            return try tls.withLockedValue { context in
                if let context { return context }
                var tls = configuration.tls
                tls.applicationProtocols = ["http/1.1"]
                let made = try NIOSSLContext(configuration: tls)
                context = made
                return made
            }
        } catch {
            throw .tls(underlying: error)
        }
    }

    /// Closes all connections and waits until they are closed. What they were carrying fails.
    func shutDown() async {
        let connections = state.withLockedValue { $0.shutDown() }
        for connection in connections { connection.close(HTTPClientError.clientShutDown) }
        for connection in connections { try? await connection.channel.closeFuture.get() }
    }

    // MARK: What connections report, from their event loops

    func didBecomeIdle(_ connection: HTTPConnection) {
        let surplus = state.withLockedValue { $0.put(connection, connection.origin) }
        surplus?.close(HTTPClientError.connectionClosed(underlying: nil))
    }

    func didClose(_ channel: any Channel, _ origin: HTTPOrigin) {
        state.withLockedValue { $0.remove(ObjectIdentifier(channel), origin) }
        configuration.logger.debug("connection closed", metadata: ["origin": "\(origin)"])
    }
}
