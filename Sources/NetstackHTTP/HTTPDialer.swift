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
    ///   - timeout: how long opening may take.
    /// - Throws: `HTTPClientError.timedOut(.connect)` after `timeout`, `CancellationError` when the task is cancelled,
    ///   and else what kept the connection from opening.
    func dial(host: String, port: Int, timeout: Duration) async throws -> any Channel
}
