// Which connections a client has, who uses them, and who waits for one.

import DequeModule

/// What a request may use.
package enum ConnectionGrant<Connection, Session> {
    case connection(Connection)
    case stream(Session)
    /// The right to open a connection. To be followed by `opened` or `failedToOpen`.
    case opening
}

extension ConnectionGrant: Sendable where Connection: Sendable, Session: Sendable {}

/// The state of a connection pool: pure, so that it can be tested alone.
///
/// A request is granted the first of these that there is: a stream of a session, a connection that is kept, the right to
/// open one. Else it waits in line. While the first connection to a server that may speak HTTP/2 is being opened, all
/// others wait for what comes of it.
package struct ConnectionLedger<
    Connection: Identifiable & Sendable, Session: Identifiable & Sendable, Waiter: Sendable
>: Sendable where Connection.ID: Sendable {
    package typealias Grant = ConnectionGrant<Connection, Session>

    package struct Limits: Sendable {
        /// Connections to an origin, those being opened included.
        package var connections: Int
        /// Connections to an origin that are kept for later.
        package var idle: Int
        /// Requests to an origin that wait for a connection.
        package var waiting: Int

        package init(connections: Int, idle: Int, waiting: Int) {
            (self.connections, self.idle, self.waiting) = (connections, idle, waiting)
        }
    }

    /// What those who have waited get.
    package typealias Grants = [(waiter: Waiter, grant: Grant)]

    private struct Account {
        /// Connections of HTTP/1, busy or not.
        var open: [Connection.ID: Connection] = [:]
        /// The one used last is at the end: it is the least likely to have been closed by the server.
        var idle: [Connection] = []
        var openingCount = 0
        var session: (value: Session, streamCount: Int, streamLimit: Int)?
        /// Sessions that end with the streams they have.
        var retired: [Session] = []
        /// Nil while nothing is known.
        var speaksHTTP2: Bool?
        var waiting: Deque<(ticket: ObjectIdentifier, waiter: Waiter, wantsFresh: Bool)> = []

        var isEmpty: Bool {
            open.isEmpty && openingCount == 0 && session == nil && retired.isEmpty && waiting.isEmpty
        }
    }

    private let limits: Limits
    private var accounts: [HTTPOrigin: Account] = [:]
    package private(set) var isShutDown = false

    package init(limits: Limits) { self.limits = limits }

    /// The number of connections and sessions, for tests.
    package var connectionCount: Int {
        accounts.values.reduce(0) { $0 + $1.open.count + $1.retired.count + ($1.session == nil ? 0 : 1) }
    }

    // MARK: Requests

    /// What a request may use at once; nil if it has to wait.
    ///
    /// - Parameter wantsFresh: whether a connection that is kept is the last resort.
    package mutating func take(_ origin: HTTPOrigin, wantsFresh: Bool) -> Grant? {
        var account = accounts[origin] ?? Account()
        guard account.waiting.isEmpty, let grant = grant(&account, origin, wantsFresh) else { return nil }
        accounts[origin] = account
        return grant
    }

    /// - Returns: false if too many wait already.
    package mutating func wait(
        _ waiter: Waiter, _ ticket: ObjectIdentifier, for origin: HTTPOrigin, wantsFresh: Bool
    ) -> Bool {
        guard accounts[origin]?.waiting.count ?? 0 < limits.waiting else { return false }
        accounts[origin, default: Account()].waiting.append((ticket, waiter, wantsFresh))
        return true
    }

    /// Takes a request out of the line.
    package mutating func leave(_ ticket: ObjectIdentifier, _ origin: HTTPOrigin) -> Waiter? {
        guard let index = accounts[origin]?.waiting.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return accounts[origin]?.waiting.remove(at: index).waiter
    }

    private func grant(_ account: inout Account, _ origin: HTTPOrigin, _ wantsFresh: Bool) -> Grant? {
        if let session = account.session {
            guard session.streamCount < session.streamLimit else { return nil }
            account.session?.streamCount += 1
            return .stream(session.value)
        }
        if !wantsFresh, let connection = account.idle.popLast() { return .connection(connection) }
        let mayBeShared = origin.scheme == .https && account.speaksHTTP2 != false
        if mayBeShared, account.openingCount > 0 { return nil }
        if account.open.count + account.openingCount < limits.connections {
            account.openingCount += 1
            return .opening
        }
        return account.idle.popLast().map { .connection($0) }
    }

    // MARK: Connections

    /// A connection has been opened, for whoever was granted to.
    package mutating func opened(_ connection: Connection, _ origin: HTTPOrigin) -> Grants {
        update(origin) {
            $0.openingCount -= 1
            $0.open[connection.id] = connection
            $0.speaksHTTP2 = false
        }
    }

    /// A session has been opened; its first stream is for whoever was granted to.
    package mutating func opened(_ session: Session, streamLimit: Int, _ origin: HTTPOrigin) -> Grants {
        update(origin) {
            $0.openingCount -= 1
            if let other = $0.session { $0.retired.append(other.value) }
            $0.session = (session, 1, streamLimit)
            $0.speaksHTTP2 = true
        }
    }

    package mutating func failedToOpen(_ origin: HTTPOrigin) -> Grants {
        update(origin) { $0.openingCount -= 1 }
    }

    /// A connection is free for another request.
    ///
    /// - Returns: too, a connection to close: the one that has waited longest, if there are too many.
    package mutating func put(_ connection: Connection, _ origin: HTTPOrigin) -> (surplus: Connection?, Grants) {
        guard accounts[origin]?.open[connection.id] != nil else { return (connection, []) }
        let grants = update(origin) { $0.idle.append(connection) }
        guard let idle = accounts[origin]?.idle, idle.count > limits.idle else { return (nil, grants) }
        return (accounts[origin]?.idle.removeFirst(), grants)
    }

    /// A connection has closed.
    package mutating func remove(_ id: Connection.ID, _ origin: HTTPOrigin) -> Grants {
        update(origin) {
            $0.open[id] = nil
            $0.idle.removeAll { $0.id == id }
        }
    }

    // MARK: Sessions

    package mutating func setStreamLimit(_ limit: Int, of id: Session.ID, _ origin: HTTPOrigin) -> Grants {
        update(origin) { if $0.session?.value.id == id { $0.session?.streamLimit = limit } }
    }

    package mutating func streamClosed(of id: Session.ID, _ origin: HTTPOrigin) -> Grants {
        update(origin) { if $0.session?.value.id == id { $0.session?.streamCount -= 1 } }
    }

    /// A session takes no more streams.
    package mutating func retire(_ id: Session.ID, _ origin: HTTPOrigin) -> Grants {
        update(origin) {
            guard let session = $0.session?.value, session.id == id else { return }
            $0.session = nil
            $0.retired.append(session)
        }
    }

    /// A session has closed.
    package mutating func removeSession(_ id: Session.ID, _ origin: HTTPOrigin) -> Grants {
        update(origin) {
            if $0.session?.value.id == id { $0.session = nil }
            $0.retired.removeAll { $0.id == id }
        }
    }

    private mutating func update(_ origin: HTTPOrigin, _ change: (inout Account) -> Void) -> Grants {
        // Its end may be told of after the ledger has been closed.
        guard var account = accounts[origin] else { return [] }
        change(&account)
        var grants: Grants = []
        while let next = account.waiting.first, let grant = grant(&account, origin, next.wantsFresh) {
            account.waiting.removeFirst()
            grants.append((next.waiter, grant))
        }
        accounts[origin] = account.isEmpty ? nil : account
        return grants
    }

    // MARK: The end

    /// - Returns: everything that is to be closed, and all that wait.
    package mutating func shutDown() -> (connections: [Connection], sessions: [Session], waiters: [Waiter]) {
        isShutDown = true
        defer { accounts = [:] }
        let all = accounts.values
        return (
            all.flatMap(\.open.values), all.flatMap { $0.retired + ($0.session.map { [$0.value] } ?? []) },
            all.flatMap { $0.waiting.map(\.waiter) }
        )
    }
}
