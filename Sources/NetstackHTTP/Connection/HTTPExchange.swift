// One request and its response on a connection.

package import HTTPTypes
import NIOCore

/// How far a request and its response have come, and what that means for the connection (RFC 9112 section 9).
package struct ExchangeProgress {
    package enum Outcome: Equatable {
        case unfinished
        case finished(connectionIsReusable: Bool)
    }

    private var connectionPersists: Bool
    private var requestEnded = false
    package private(set) var responseEnded = false
    private var isSuccess = false

    /// Whether the request is out and only the server can go on.
    package var awaitsServer: Bool { requestEnded && !responseEnded }

    /// - Parameter requestPersists: whether the request lets the connection stay open.
    package init(requestPersists: Bool) {
        connectionPersists = requestPersists
    }

    package mutating func requestDidEnd() -> Outcome {
        requestEnded = true
        return outcome
    }

    /// - Parameter persists: whether the response lets the connection stay open.
    package mutating func responseDidBegin(_ status: HTTPResponse.Status, persists: Bool) {
        isSuccess = status.kind == .successful
        // After 101 the connection speaks something else.
        if !persists || status.kind == .informational { connectionPersists = false }
    }

    package mutating func responseDidEnd() -> Outcome {
        responseEnded = true
        return outcome
    }

    /// A server that answers anything but success before it has the whole request may not want the rest of it
    /// (RFC 9112 section 9.3): sending stops. One that reports success is still reading.
    private var outcome: Outcome {
        guard responseEnded, requestEnded || !isSuccess else { return .unfinished }
        return .finished(connectionIsReusable: requestEnded && connectionPersists)
    }
}

/// The parts of an exchange that is under way. Belongs to its connection's event loop.
final class HTTPExchange {
    /// Tells exchanges on the same connection apart: a cancellation may come late.
    final class ID: Sendable {}

    let id: ID
    private let eventLoop: any EventLoop
    var progress: ExchangeProgress
    /// Waits for the response's head.
    var head: CheckedContinuation<HTTPClientResponse, any Error>?
    /// Takes the response's body.
    var source: HTTPResponseBody.Producer.Source?
    /// Chunks of the read that is under way.
    var chunks: [ByteBuffer] = []
    /// Whether the response is known to have no body.
    var hasNoContent = false
    /// Whether whoever reads the response wants more of it.
    var wantsMore = true
    /// Sends the request's body.
    var upload: Task<Void, Never>?
    /// Waits for room to send.
    var sender: CheckedContinuation<Void, any Error>?
    /// When either side last did something.
    private(set) var lastActivity: NIODeadline
    var silenceTimer: Scheduled<Void>?
    var totalTimer: Scheduled<Void>?

    /// Whether the other side alone can go on.
    var awaitsServer: Bool { wantsMore && (progress.awaitsServer || sender != nil) }

    init(
        _ id: ID, _ eventLoop: any EventLoop, head: CheckedContinuation<HTTPClientResponse, any Error>,
        requestPersists: Bool
    ) {
        self.id = id
        self.eventLoop = eventLoop
        self.head = head
        lastActivity = eventLoop.now
        progress = ExchangeProgress(requestPersists: requestPersists)
    }

    /// Either side has done something.
    func touch() {
        lastActivity = eventLoop.now
    }

    /// Stops the timers and the sending of the body.
    func stop(_ error: any Error) {
        silenceTimer?.cancel()
        totalTimer?.cancel()
        upload?.cancel()
        sender?.resume(throwing: error)
        sender = nil
    }
}
