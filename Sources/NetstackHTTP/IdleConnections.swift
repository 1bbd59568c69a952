// Which connections a client has, and which of them wait for another request.

/// The state of a connection pool: pure, so that it can be tested alone.
package struct IdleConnections<Connection: Identifiable & Sendable>: Sendable where Connection.ID: Sendable {
    /// How many may wait for each origin.
    package let limit: Int
    package private(set) var isShutDown = false
    private var open: [Connection.ID: Connection] = [:]
    /// The one used last is at the end: it is the least likely to have been closed by the server.
    private var idle: [HTTPOrigin: [Connection]] = [:]

    package init(limit: Int) {
        self.limit = limit
    }

    /// A connection has been opened.
    ///
    /// - Returns: false after a shutdown: the connection is not to be used.
    package mutating func insert(_ connection: Connection) -> Bool {
        if !isShutDown { open[connection.id] = connection }
        return !isShutDown
    }

    /// Takes a waiting connection.
    package mutating func take(_ origin: HTTPOrigin) -> Connection? {
        idle[origin]?.popLast()
    }

    /// A connection waits for another request.
    ///
    /// - Returns: a connection to close: the one that has waited longest, if there are too many.
    package mutating func put(_ connection: Connection, _ origin: HTTPOrigin) -> Connection? {
        guard open[connection.id] != nil else { return connection }
        idle[origin, default: []].append(connection)
        guard let waiting = idle[origin], waiting.count > limit else { return nil }
        return idle[origin]?.removeFirst()
    }

    /// A connection has closed.
    package mutating func remove(_ id: Connection.ID, _ origin: HTTPOrigin) {
        open[id] = nil
        idle[origin]?.removeAll { $0.id == id }
        if idle[origin]?.isEmpty == true { idle[origin] = nil }
    }

    /// - Returns: all connections, to be closed.
    package mutating func shutDown() -> [Connection] {
        isShutDown = true
        defer {
            open = [:]
            idle = [:]
        }
        return Array(open.values)
    }

    /// The connections that wait.
    package var waiting: [Connection] { idle.values.flatMap { $0 } }
}
