// Threads for what blocks: the host's resolver may wait half a minute for a name server that is gone.

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Netstack

/// Runs lookups, each on a thread that ends when there is no more to do. May be used from any thread.
final class LookupThreads: Sendable {
    private struct Job: Sendable {
        var id: Int
        var query: NameQuery
        var source: IPAddress
        var completion: @Sendable (NameAnswer) -> Void
    }

    private struct State {
        var waiting: [Job] = []
        /// Lookups on a thread, by who has asked.
        var running: SourceQuota
        var isStopped = false

        /// The first that waits and may run, counted as running.
        mutating func popFirst() -> Job? {
            guard let index = waiting.firstIndex(where: { running.hasRoom(for: $0.source) }) else { return nil }
            let job = waiting.remove(at: index)
            running.add(job.source)
            return job
        }
    }

    private let lookUp: NameLookup
    private let eventLoop: any EventLoop
    private let state: NIOLockedValueBox<State>

    /// - Parameter limit: how many threads there may be: a source whose names take long does not keep others waiting.
    init(limit: Bound, eventLoop: any EventLoop, lookUp: @escaping NameLookup) {
        self.eventLoop = eventLoop
        self.lookUp = lookUp
        state = NIOLockedValueBox(State(running: SourceQuota(limit)))
    }

    /// Looks something up as soon as a thread is free. `completion` is called on the event loop.
    func start(
        _ id: Int, _ query: NameQuery, for source: IPAddress, _ completion: @escaping @Sendable (NameAnswer) -> Void
    ) {
        let job = state.withLockedValue { state in
            state.waiting.append(Job(id: id, query: query, source: source, completion: completion))
            return state.popFirst()
        }
        guard let job, !startThread(job) else { return }
        // Without a thread, those that run have it next; if none does, it waits until it is cancelled.
        state.withLockedValue {
            $0.running.remove(job.source)
            $0.waiting.append(job)
        }
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

    private func work(_ first: Job) {
        var next: Job? = first
        while let job = next {
            let answer = lookUp(job.query)
            next = state.withLockedValue { state in
                // Under the lock, so that the event loop is not used after `stop`: it may have ended by then.
                if !state.isStopped { eventLoop.execute { job.completion(answer) } }
                state.running.remove(job.source)
                return state.popFirst()
            }
        }
    }

    /// What a thread is given; retained for it alone.
    private final class Start: Sendable {
        let threads: LookupThreads
        let job: Job

        init(_ threads: LookupThreads, _ job: Job) { (self.threads, self.job) = (threads, job) }
    }

    private func startThread(_ job: Job) -> Bool {
        var attributes = pthread_attr_t()
        guard pthread_attr_init(&attributes) == 0 else { return false }
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Start(self, job))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                // Retained above, for this thread alone.
                if let argument {
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    start.threads.work(start.job)
                }
                return nil
            }, argument.toOpaque())
        if code != 0 { argument.release() }
        return code == 0
    }
}
