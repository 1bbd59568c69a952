// Opens connections, shares them out, and keeps them for the next request.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// The connections of a client. May be used from any task.
final class HTTPConnectionPool: Sendable {
    private typealias Grant = ConnectionGrant<HTTPConnection, HTTP2Connection>
    private typealias Waiter = CheckedContinuation<Grant, any Error>
    private typealias Ledger = ConnectionLedger<HTTPConnection, HTTP2Connection, Waiter>

    /// Tells the requests that wait apart, and those that open connections.
    private final class Ticket: Sendable {}

    /// What the shutdown ends, all at one moment.
    private struct State {
        var ledger: Ledger
        /// Connections that are being opened, until they are in the ledger.
        var openings: [ObjectIdentifier: Task<HTTPTransport, any Error>] = [:]
    }

    private let dialer: any HTTPDialer
    private let configuration: HTTPClient.Configuration
    private let state: NIOLockedValueBox<State>
    /// Made when the first https URL is fetched: reading the trusted roots takes a while.
    private let tls = NIOLockedValueBox<NIOSSLContext?>(nil)

    init(dialer: any HTTPDialer, configuration: HTTPClient.Configuration) {
        self.dialer = dialer
        self.configuration = configuration
        let ledger = Ledger(
            limits: .init(
                connections: configuration.maximumConnectionsPerOrigin,
                idle: configuration.maximumIdleConnectionsPerOrigin,
                waiting: configuration.maximumWaitingRequestsPerOrigin))
        state = NIOLockedValueBox(State(ledger: ledger))
    }

    deinit { closeAll() }

    /// What is to carry a request: a connection that is kept, a stream, or a fresh connection.
    ///
    /// - Parameters:
    ///   - wantsFresh: whether a connection that is kept is the last resort.
    ///   - deadline: when the whole request has to be done.
    /// - Throws: `HTTPClientError`, `UnansweredRequest`, `CancellationError`.
    func connection(
        to origin: HTTPOrigin, wantsFresh: Bool, deadline: NIODeadline?
    ) async throws -> (connection: HTTPConnection, isFresh: Bool) {
        let connectDeadline = NIODeadline.now() + TimeAmount(configuration.connectTimeout)
        let limit = min(connectDeadline, deadline ?? .distantFuture)
        do {
            switch try await grant(origin, wantsFresh: wantsFresh, deadline: limit) {
            case .connection(let connection): return (connection, false)
            case .stream(let session): return (try await openStream(of: session), false)
            case .opening: return (try await open(origin, deadline: limit), true)
            }
        } catch HTTPClientError.timedOut(.connect) {
            throw HTTPClientError.timedOut(limit == connectDeadline ? .connect : .total)
        }
    }

    // MARK: Waiting

    private func grant(_ origin: HTTPOrigin, wantsFresh: Bool, deadline: NIODeadline) async throws -> Grant {
        let grant = try withLedger { ledger throws(HTTPClientError) in
            if ledger.isShutDown { throw .clientShutDown }
            return ledger.take(origin, wantsFresh: wantsFresh)
        }
        if let grant { return grant }
        let ticket = Ticket()
        let timer = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(deadline: deadline) { [weak self] in
            self?.fail(ticket, origin, HTTPClientError.timedOut(.connect))
        }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                let outcome = withLedger { ledger -> Result<Grant, any Error>? in
                    if ledger.isShutDown { return .failure(HTTPClientError.clientShutDown) }
                    if let grant = ledger.take(origin, wantsFresh: wantsFresh) { return .success(grant) }
                    if ledger.wait(waiter, ObjectIdentifier(ticket), for: origin, wantsFresh: wantsFresh) { return nil }
                    let limit = configuration.maximumWaitingRequestsPerOrigin
                    return .failure(HTTPClientError.tooManyWaitingRequests(limit: limit))
                }
                if let outcome { waiter.resume(with: outcome) }
                // A cancellation before this point found nobody in line, and so did the timer.
                if Task.isCancelled { fail(ticket, origin, CancellationError()) }
                if NIODeadline.now() >= deadline { fail(ticket, origin, HTTPClientError.timedOut(.connect)) }
            }
        } onCancel: {
            fail(ticket, origin, CancellationError())
        }
    }

    private func fail(_ ticket: Ticket, _ origin: HTTPOrigin, _ error: any Error) {
        withLedger { $0.leave(ObjectIdentifier(ticket), origin) }?.resume(throwing: error)
    }

    /// Changes the ledger, and tells those who get something by that.
    private func update(_ change: (inout Ledger) -> Ledger.Grants) {
        for (waiter, grant) in withLedger(change) { waiter.resume(returning: grant) }
    }

    private func withLedger<Result>(_ body: (inout Ledger) throws -> Result) rethrows -> Result {
        try state.withLockedValue { try body(&$0.ledger) }
    }

    // MARK: Opening

    private func openStream(of session: HTTP2Connection) async throws -> HTTPConnection {
        do {
            return try await session.openStream()
        } catch {
            update { $0.streamClosed(of: session.id, session.origin) }
            retire(session.id, session.origin)
            throw error
        }
    }

    private func open(_ origin: HTTPOrigin, deadline: NIODeadline) async throws -> HTTPConnection {
        configuration.logger.debug("connecting", metadata: ["origin": "\(origin)"])
        let ticket = Ticket()
        defer { state.withLockedValue { $0.openings[ObjectIdentifier(ticket)] = nil } }
        let transport: HTTPTransport
        do {
            transport = try await dial(origin, ticket, deadline: deadline)
        } catch {
            update { $0.failedToOpen(origin) }
            throw Self.failure(error, origin)
        }
        // The shutdown closes what it finds being opened.
        guard isOpen else { throw HTTPClientError.clientShutDown }
        switch transport {
        case .http1(let connection):
            update { $0.opened(connection, origin) }
            if !connection.channel.isActive { didClose(connection.channel, origin) }
            return connection
        case .http2(let session):
            try await session.withStreamLimit { [self] limit in
                update { $0.opened(session, streamLimit: limit, origin) }
            }
            if !session.channel.isActive { didClose(session: session.id, origin) }
            return try await openStream(of: session)
        }
    }

    /// Connects, and establishes TLS, in a task that the shutdown cancels.
    private func dial(
        _ origin: HTTPOrigin, _ ticket: Ticket, deadline: NIODeadline
    ) async throws -> HTTPTransport {
        let opening = try state.withLockedValue { state throws(HTTPClientError) in
            if state.ledger.isShutDown { throw .clientShutDown }
            let opening = Task {
                let tls = origin.scheme == .https ? try tlsContext() : nil
                let channel = try await dialer.dial(host: origin.host, port: origin.port, deadline: deadline)
                return try await setUp(channel, tls, origin, deadline: deadline)
            }
            state.openings[ObjectIdentifier(ticket)] = opening
            return opening
        }
        do {
            return try await withTaskCancellationHandler {
                try await opening.value
            } onCancel: {
                opening.cancel()
            }
        } catch is CancellationError where !isOpen {
            throw HTTPClientError.clientShutDown
        }
    }

    /// Whether there has been no shutdown.
    private var isOpen: Bool { withLedger { !$0.isShutDown } }

    /// What kept a connection from opening.
    private static func failure(_ error: any Error, _ origin: HTTPOrigin) -> any Error {
        switch error {
        case is CancellationError: error
        case HTTPClientError.connectionClosed(let underlying):
            HTTPClientError.connectFailed(origin: "\(origin)", underlying: underlying ?? ChannelError.eof)
        case is HTTPClientError: error
        default: HTTPClientError.connectFailed(origin: "\(origin)", underlying: error)
        }
    }

    /// Completes a channel's pipeline, after TLS has been established where that is wanted.
    private func setUp(
        _ channel: any Channel, _ tls: NIOSSLContext?, _ origin: HTTPOrigin, deadline: NIODeadline
    ) async throws -> HTTPTransport {
        let made = channel.eventLoop.makePromise(of: HTTPTransport.self)
        channel.eventLoop.execute { [self] in
            do {
                guard let tls else { return made.succeed(.http1(try makeHTTP1(channel, origin))) }
                let handshake = HTTPHandshakeHandler(made) { [self] in
                    guard $0 == "h2" else { return .http1(try makeHTTP1(channel, origin)) }
                    return .http2(try HTTP2Connection.setUp(channel, origin, configuration, pool: self))
                }
                try channel.pipeline.syncOperations.addHandler(handshake)
                // Last, because it begins at once.
                let tlsHandler = try NIOSSLClientHandler(context: tls, serverHostname: origin.serverName)
                try channel.pipeline.syncOperations.addHandler(tlsHandler, position: .first)
            } catch {
                made.fail(error)
            }
        }
        let timer = channel.eventLoop.scheduleTask(deadline: deadline) { made.fail(HTTPClientError.timedOut(.connect)) }
        do {
            let transport = try await withTaskCancellationHandler {
                try await made.futureResult.get()
            } onCancel: {
                made.fail(CancellationError())
            }
            timer.cancel()
            return transport
        } catch {
            timer.cancel()
            channel.close(promise: nil)
            // The shutdown waits for this, and for all that closes.
            if !isOpen { try? await channel.closeFuture.get() }
            throw error
        }
    }

    /// To be called on the channel's event loop.
    private func makeHTTP1(_ channel: any Channel, _ origin: HTTPOrigin) throws -> HTTPConnection {
        let handler = HTTPConnectionHandler(origin, configuration, pool: self)
        try HTTPConnection.addHandlers(to: channel, handler)
        return HTTPConnection(handler, channel)
    }

    private func tlsContext() throws(HTTPClientError) -> NIOSSLContext {
        do {
            return try tls.withLockedValue { context in
                if let context { return context }
                var tls = configuration.tls
                if tls.applicationProtocols.isEmpty { tls.applicationProtocols = ["h2", "http/1.1"] }
                let made = try NIOSSLContext(configuration: tls)
                context = made
                return made
            }
        } catch {
            throw .tls(underlying: error)
        }
    }

    // MARK: The end

    /// Closes all connections and waits until they are closed. What they were carrying fails.
    func shutDown() async {
        let (channels, openings) = closeAll()
        for channel in channels { try? await channel.closeFuture.get() }
        for opening in openings {
            // Open by now, but not in the ledger.
            guard let transport = try? await opening.value else { continue }
            transport.close(HTTPClientError.clientShutDown)
            try? await transport.channel.closeFuture.get()
        }
    }

    @discardableResult
    private func closeAll() -> (channels: [any Channel], openings: [Task<HTTPTransport, any Error>]) {
        let (ended, openings) = state.withLockedValue { ($0.ledger.shutDown(), Array($0.openings.values)) }
        for opening in openings { opening.cancel() }
        for waiter in ended.waiters { waiter.resume(throwing: HTTPClientError.clientShutDown) }
        for connection in ended.connections { connection.close(HTTPClientError.clientShutDown) }
        for session in ended.sessions { session.close(HTTPClientError.clientShutDown) }
        return (ended.connections.map(\.channel) + ended.sessions.map(\.channel), openings)
    }

    // MARK: What connections report, from their event loops

    func didBecomeIdle(_ connection: HTTPConnection) {
        let (surplus, grants) = withLedger { $0.put(connection, connection.origin) }
        for (waiter, grant) in grants { waiter.resume(returning: grant) }
        surplus?.close(HTTPClientError.connectionClosed(underlying: nil))
    }

    func didClose(_ channel: any Channel, _ origin: HTTPOrigin) {
        update { $0.remove(ObjectIdentifier(channel), origin) }
        configuration.logger.debug("connection closed", metadata: ["origin": "\(origin)"])
    }

    func setStreamLimit(_ limit: Int, of session: HTTP2Connection.ID, _ origin: HTTPOrigin) {
        update { $0.setStreamLimit(limit, of: session, origin) }
    }

    func streamClosed(of session: HTTP2Connection.ID, _ origin: HTTPOrigin) {
        update { $0.streamClosed(of: session, origin) }
    }

    func retire(_ session: HTTP2Connection.ID, _ origin: HTTPOrigin) {
        update { $0.retire(session, origin) }
    }

    func didClose(session: HTTP2Connection.ID, _ origin: HTTPOrigin) {
        update { $0.removeSession(session, origin) }
        configuration.logger.debug("connection closed", metadata: ["origin": "\(origin)"])
    }
}
