// Tasks that wait for something to happen on an event loop.

import DequeModule
import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters<Value: Sendable> {
    private let eventLoop: any EventLoop
    private var waiting: Deque<(ticket: UInt64, continuation: CheckedContinuation<Value, any Error>)> = []
    private var nextTicket: UInt64 = 0

    init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    var isEmpty: Bool { waiting.isEmpty }

    /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
    ///
    /// The task stays on the actor of the event loop until it is in line: nothing can happen before that unseen.
    func wait(isolation: isolated any Actor = #isolation) async throws -> Value {
        nextTicket += 1
        let ticket = nextTicket
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        return try await withTaskCancellationHandler(
            operation: {
                // Naming the actor is what keeps this closure on it.
                _ = isolation
                try Task.checkCancellation()
                return try await withCheckedThrowingContinuation(isolation: isolation) { continuation in
                    eventLoop.assertInEventLoop()
                    waiting.append((ticket, continuation))
                }
            }, onCancel: { reach.eventLoop.execute { reach.value.cancel(ticket) } }, isolation: isolation)
    }

    /// Wakes the first in line; false when nobody waits.
    @discardableResult
    func resumeFirst(_ result: Result<Value, any Error>) -> Bool {
        guard let first = waiting.popFirst() else { return false }
        first.continuation.resume(with: result)
        return true
    }

    func resumeAll(_ result: Result<Value, any Error>) {
        while resumeFirst(result) {}
    }

    private func cancel(_ ticket: UInt64) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting.remove(at: index).continuation.resume(throwing: CancellationError())
    }
}
