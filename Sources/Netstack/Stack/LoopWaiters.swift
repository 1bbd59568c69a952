// Tasks that wait for something to happen on an event loop.

import DequeModule
import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters<Value: Sendable> {
    /// A place in the line. What it waits for may come before the task has got as far as to suspend.
    fileprivate final class Place {
        private var continuation: CheckedContinuation<Value, any Error>?
        private var result: Result<Value, any Error>?

        func suspend(_ continuation: CheckedContinuation<Value, any Error>) {
            if let result { continuation.resume(with: result) } else { self.continuation = continuation }
        }

        func resume(_ result: Result<Value, any Error>) {
            if let continuation { continuation.resume(with: result) } else { self.result = result }
        }
    }

    /// What one who has joined waits for.
    struct Turn {
        fileprivate let line: LoopWaiters
        fileprivate let place: Place

        /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
        func wait(isolation: isolated any Actor = #isolation) async throws -> Value {
            let executor = line.executor
            executor.eventLoop.assertInEventLoop()
            let reach = NIOLoopBound((line, place), eventLoop: executor.eventLoop)
            return try await withTaskCancellationHandler(
                operation: {
                    // Naming the actor is what keeps these closures on it.
                    _ = isolation
                    let preferred = withUnsafeCurrentTask { $0?.unownedTaskExecutor }
                    if preferred == executor.asUnownedTaskExecutor() {
                        return try await withCheckedThrowingContinuation(isolation: isolation, place.suspend)
                    }
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
    }

    private let executor: LoopExecutor
    private var waiting: Deque<Place> = []

    init(executor: LoopExecutor) { self.executor = executor }

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes a place, to wait in: `try await line.join().wait()`. From now on nothing happens unseen, even where the call of
    /// `wait` leaves the actor for a moment, as it does for a task that prefers another executor.
    func join() -> Turn {
        let place = Place()
        waiting.append(place)
        return Turn(line: self, place: place)
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
