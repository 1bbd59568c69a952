// How an HTTP client reaches servers.

package import NIOCore

/// Opens the connections of an HTTP client.
package protocol HTTPDialer: Sendable {
    /// Opens a connection.
    ///
    /// The channel is active, carries `ByteBuffer`s, has no handlers and has `autoRead` off: nothing is read before the
    /// client has added its own.
    ///
    /// - Parameters:
    ///   - host: a name, or an IP address without brackets.
    ///   - deadline: when it has to be open.
    /// - Throws: `HTTPClientError.timedOut(.connect)` after the deadline, `CancellationError` when the task is cancelled,
    ///   and else what kept the connection from opening.
    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel
}
