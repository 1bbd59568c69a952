// Tasks that wait for something to happen on an event loop.

import DequeModule
import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters<Value: Sendable> {
    /// A place in the line. What it waits for may come before the task has got as far as to suspend.
    private final class Place {
        var continuation: CheckedContinuation<Value, any Error>?
        var result: Result<Value, any Error>?

        func suspend(_ continuation: CheckedContinuation<Value, any Error>) {
            if let result { continuation.resume(with: result) } else { self.continuation = continuation }
        }

        func resume(_ result: Result<Value, any Error>) {
            if let continuation { continuation.resume(with: result) } else { self.result = result }
        }
    }

    private let executor: LoopExecutor
    private var waiting: Deque<Place> = []

    init(executor: LoopExecutor) { self.executor = executor }

    var isEmpty: Bool { waiting.isEmpty }

    /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
    ///
    /// The task is in line when this is first left: nothing can happen before that unseen.
    func wait(isolation: isolated any Actor = #isolation) async throws -> Value {
        try Task.checkCancellation()
        executor.eventLoop.assertInEventLoop()
        let place = Place()
        waiting.append(place)
        let reach = NIOLoopBound((self, place), eventLoop: executor.eventLoop)
        return try await withTaskCancellationHandler(
            operation: {
                // Naming the actor is what keeps these closures on it.
                _ = isolation
                return try await withTaskExecutorPreference(executor, isolation: isolation) {
                    _ = isolation
                    return try await withCheckedThrowingContinuation(isolation: isolation, place.suspend)
                }
            },
            onCancel: {
                reach.eventLoop.execute {
                    let (line, place) = reach.value
                    line.cancel(place)
                }
            },
            isolation: isolation)
    }

    /// Wakes the first in line; false when nobody waits.
    @discardableResult
    func resumeFirst(_ result: Result<Value, any Error>) -> Bool {
        guard let first = waiting.popFirst() else { return false }
        first.resume(result)
        return true
    }

    func resumeAll(_ result: Result<Value, any Error>) {
        while resumeFirst(result) {}
    }

    private func cancel(_ place: Place) {
        guard let index = waiting.firstIndex(where: { $0 === place }) else { return }
        waiting.remove(at: index).resume(.failure(CancellationError()))
    }
}
