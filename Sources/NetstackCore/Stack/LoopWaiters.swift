// Tasks that wait for something to happen on an event loop.
//
// A task keeps the frames of what it waits in, and takes memory for them in pieces of 1 KB. The calls here are cut so that a
// server's task that waits to read takes one: actors are generic, and what needs no frame across a wait is not inlined.

import NIOCore

/// A line of waiting tasks. It lives on one event loop: tasks join from an actor of that loop.
final class LoopWaiters {
    private let executor: LoopExecutor
    /// The ends of the line. An array would keep its memory.
    private var first: Place?
    private var last: Place?

    init(executor: LoopExecutor) { self.executor = executor }

    var isEmpty: Bool { first == nil }

    /// Takes a place, which has to be waited in: `try await line.join().wait(on: self)`. From now on nothing happens unseen, even
    /// where the call of `wait` leaves the actor for a moment, as it does for a task that prefers another executor.
    @inline(never)
    func join() -> Place {
        let place = Place(self)
        if let last { last.next = place } else { first = place }
        last = place
        return place
    }

    /// Wakes the first in line; false when nobody waits.
    @discardableResult
    func resumeFirst(_ result: Result<Void, any Error> = .success(())) -> Bool {
        guard let first else { return false }
        remove(first, behind: nil)
        first.resume(result)
        return true
    }

    private func remove(_ place: Place, behind previous: Place?) {
        if let previous { previous.next = place.next } else { first = place.next }
        if place === last { last = previous }
        place.next = nil
    }

    func resumeAll(_ result: Result<Void, any Error> = .success(())) {
        while resumeFirst(result) {}
    }

    /// A place in a line, to wait in once.
    ///
    /// Sendable for the sake of cancellation, which comes from anywhere: that takes it to the event loop, and nothing else
    /// takes it from there.
    final class Place: @unchecked Sendable {
        private let line: LoopWaiters
        fileprivate var next: Place?
        /// Resumed once: by whoever takes the place out of the line.
        private var continuation: UnsafeContinuation<Void, any Error>?
        /// Set if that was before the task has got as far as to suspend.
        private var result: Result<Void, any Error>?

        fileprivate init(_ line: LoopWaiters) { self.line = line }

        /// Waits for `resumeFirst`, `resumeAll` or cancellation, which throws `CancellationError`.
        func wait<A: Actor>(on actor: isolated A) async throws {
            line.executor.eventLoop.assertInEventLoop()
            // Setting what a task prefers already would cost a round trip 2 %, even as no preference at all.
            if line.executor.isPreferred {
                try await stand(on: actor)
            } else {
                try await prefer(on: actor)
            }
        }

        @inline(never)
        private func prefer<A: Actor>(on actor: isolated A) async throws {
            try await withTaskExecutorPreference(line.executor, isolation: actor) {
                // Naming the actor is what keeps this closure on it.
                _ = actor
                try await stand(on: actor)
            }
        }

        private func stand<A: Actor>(on actor: isolated A) async throws {
            try await withTaskCancellationHandler(
                operation: {
                    _ = actor
                    try await withUnsafeThrowingContinuation(isolation: actor, suspend)
                },
                onCancel: { line.executor.eventLoop.execute { self.leave() } },
                isolation: actor)
        }

        private func suspend(_ continuation: UnsafeContinuation<Void, any Error>) {
            if let result { continuation.resume(with: result) } else { self.continuation = continuation }
        }

        fileprivate func resume(_ result: Result<Void, any Error>) {
            if let continuation { continuation.resume(with: result) } else { self.result = result }
        }

        private func leave() {
            var (previous, place) = (Place?.none, line.first)
            while let other = place, other !== self { (previous, place) = (other, other.next) }
            guard place != nil else { return }
            line.remove(self, behind: previous)
            resume(.failure(CancellationError()))
        }
    }
}
