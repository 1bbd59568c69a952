// Tasks that wait for something to happen on an event loop.

import DequeModule
import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters<Value: Sendable> {
    /// One in the line. What it waits for may come before the task has got as far as to suspend.
    fileprivate final class Waiter {
        private var continuation: CheckedContinuation<Value, any Error>?
        private var result: Result<Value, any Error>?

        func suspend(_ continuation: CheckedContinuation<Value, any Error>) {
            if let result { continuation.resume(with: result) } else { self.continuation = continuation }
        }

        func resume(_ result: Result<Value, any Error>) {
            if let continuation { continuation.resume(with: result) } else { self.result = result }
        }
    }

    /// A place in the line, to wait in.
    struct Place {
        fileprivate let line: LoopWaiters
        fileprivate let waiter: Waiter

        /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
        func wait(isolation: isolated any Actor = #isolation) async throws -> Value {
            let executor = line.executor
            executor.eventLoop.assertInEventLoop()
            let reach = NIOLoopBound((line, waiter), eventLoop: executor.eventLoop)
            return try await withTaskCancellationHandler(
                operation: {
                    // Naming the actor is what keeps these closures on it.
                    _ = isolation
                    // Setting what a task prefers already would cost a round trip 2 %, even as no preference at all.
                    let preferred = withUnsafeCurrentTask { $0?.unownedTaskExecutor }
                    if preferred == executor.asUnownedTaskExecutor() {
                        return try await withCheckedThrowingContinuation(isolation: isolation, waiter.suspend)
                    }
                    return try await withTaskExecutorPreference(executor, isolation: isolation) {
                        _ = isolation
                        return try await withCheckedThrowingContinuation(isolation: isolation, waiter.suspend)
                    }
                },
                onCancel: {
                    reach.eventLoop.execute {
                        let (line, waiter) = reach.value
                        line.cancel(waiter)
                    }
                },
                isolation: isolation)
        }
    }

    private let executor: LoopExecutor
    private var waiting: Deque<Waiter> = []

    init(executor: LoopExecutor) { self.executor = executor }

    var isEmpty: Bool { waiting.isEmpty }

    /// Takes a place: `try await line.join().wait()`. From now on nothing happens unseen, even where the call of
    /// `wait` leaves the actor for a moment, as it does for a task that prefers another executor.
    func join() -> Place {
        let waiter = Waiter()
        waiting.append(waiter)
        return Place(line: self, waiter: waiter)
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

    private func cancel(_ waiter: Waiter) {
        guard let index = waiting.firstIndex(where: { $0 === waiter }) else { return }
        waiting.remove(at: index).resume(.failure(CancellationError()))
    }
}
