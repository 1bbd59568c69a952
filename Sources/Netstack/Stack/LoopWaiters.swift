// Tasks that wait for something to happen on an event loop.

import DequeModule
import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters<Value: Sendable> {
    /// A place in the line. What it waits for may come before the task has got as far as to suspend.
    final class Place {
        fileprivate let line: LoopWaiters
        private var continuation: CheckedContinuation<Value, any Error>?
        private var result: Result<Value, any Error>?

        fileprivate init(in line: LoopWaiters) { self.line = line }

        /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
        func wait(isolation: isolated any Actor = #isolation) async throws -> Value {
            let executor = line.executor
            executor.eventLoop.assertInEventLoop()
            let reach = NIOLoopBound(self, eventLoop: executor.eventLoop)
            return try await withTaskCancellationHandler(
                operation: {
                    // Naming the actor is what keeps these closures on it.
                    _ = isolation
                    let preferred = withUnsafeCurrentTask { $0?.unownedTaskExecutor }
                    if preferred == executor.asUnownedTaskExecutor() {
                        return try await withCheckedThrowingContinuation(isolation: isolation, suspend)
                    }
                    return try await withTaskExecutorPreference(executor, isolation: isolation) {
                        _ = isolation
                        return try await withCheckedThrowingContinuation(isolation: isolation, suspend)
                    }
                },
                onCancel: {
                    reach.eventLoop.execute { reach.value.cancel() }
                },
                isolation: isolation)
        }

        private func suspend(_ continuation: CheckedContinuation<Value, any Error>) {
            if let result { continuation.resume(with: result) } else { self.continuation = continuation }
        }

        fileprivate func resume(_ result: Result<Value, any Error>) {
            if let continuation { continuation.resume(with: result) } else { self.result = result }
        }

        private func cancel() {
            guard let index = line.waiting.firstIndex(where: { $0 === self }) else { return }
            line.waiting.remove(at: index).resume(.failure(CancellationError()))
        }
    }

    private let executor: LoopExecutor
    private var waiting: Deque<Place> = []

    init(executor: LoopExecutor) { self.executor = executor }

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes a place, to wait in: `try await line.join().wait()`. From now on nothing happens unseen, even where the call of
    /// `wait` leaves the actor for a moment, as it does for a task that prefers another executor.
    func join() -> Place {
        let place = Place(in: self)
        waiting.append(place)
        return place
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
}
