// Threads for what blocks: the host's resolver may wait half a minute for a name server that is gone.

import Glibc
import NIOConcurrencyHelpers
import NIOCore

/// Runs lookups, each on a thread that ends when there is no more to do. May be used from any thread.
final class LookupThreads: Sendable {
    private struct Job: Sendable {
        var id: Int
        var query: NameQuery
        var completion: @Sendable (NameAnswer) -> Void
    }

    private struct State {
        var waiting: [Job] = []
        var running = 0
        var isStopped = false
    }

    private let lookUp: NameLookup
    private let limit: Int
    private let eventLoop: any EventLoop
    private let state = NIOLockedValueBox(State())

    /// - Parameter limit: how many threads there may be.
    init(limit: Int, eventLoop: any EventLoop, lookUp: @escaping NameLookup) {
        self.limit = limit
        self.eventLoop = eventLoop
        self.lookUp = lookUp
    }

    /// Looks something up as soon as a thread is free. `completion` is called on the event loop.
    func start(_ id: Int, _ query: NameQuery, _ completion: @escaping @Sendable (NameAnswer) -> Void) {
        let needsThread = state.withLockedValue { state in
            state.waiting.append(Job(id: id, query: query, completion: completion))
            guard state.running < limit else { return false }
            state.running += 1
            return true
        }
        guard needsThread, !startThread() else { return }
        // Without a thread, those that run have it next; if none does, it waits until it is cancelled.
        state.withLockedValue { $0.running -= 1 }
    }

    /// Forgets a lookup that has not begun.
    func cancel(_ id: Int) {
        state.withLockedValue { $0.waiting.removeAll { $0.id == id } }
    }

    /// Begins and completes nothing any more. Threads that are blocked end when the host's resolver lets them.
    func stop() {
        state.withLockedValue {
            $0.isStopped = true
            $0.waiting = []
        }
    }

    private func work() {
        while let job = next() {
            let answer = lookUp(job.query)
            // Under the lock, so that the event loop is not used after `stop`: it may have ended by then.
            state.withLockedValue { state in
                if !state.isStopped { eventLoop.execute { job.completion(answer) } }
            }
        }
    }

    private func next() -> Job? {
        state.withLockedValue { state in
            if state.waiting.isEmpty {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    private func startThread() -> Bool {
        var attributes = pthread_attr_t()
        guard pthread_attr_init(&attributes) == 0 else { return false }
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                // Retained above, for this thread alone.
                if let argument { Unmanaged<LookupThreads>.fromOpaque(argument).takeRetainedValue().work() }
                return nil
            }, argument.toOpaque())
        if code != 0 { argument.release() }
        return code == 0
    }
}
