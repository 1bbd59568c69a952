// An event loop in virtual time: what is due happens in its order, and time moves only from one such thing to the next.

import Dispatch
import NIOCore

/// Everything on it happens on the caller's thread, in `run`. NIO's own embedded loop can't be an actor's executor.
///
/// It lives in one task and is never used from another.
final class VirtualLoop: EventLoop, NIOSerialEventLoopExecutor, @unchecked Sendable {
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var ready: [() -> Void] = []
    /// The deadlines of `timers`, by their numbers; and those of some that have been cancelled.
    private var queue = EventQueue()
    private var timers: [Int: () -> Void] = [:]
    private var nextTimer = 0

    var inEventLoop: Bool { true }
    /// How much there is that time will bring.
    var timerCount: Int { timers.count }

    /// Does all that is due up to `deadline`.
    func run(until deadline: NIODeadline) {
        runReady()
        while let next = queue.first, next.time <= deadline {
            queue.removeFirst()
            guard let work = timers.removeValue(forKey: next.place) else { continue }
            now = max(now, next.time)
            work()
            runReady()
        }
        now = max(now, deadline)
    }

    private func runReady() {
        while !ready.isEmpty {
            let works = ready
            ready.removeAll(keepingCapacity: true)
            for work in works { work() }
        }
    }

    @discardableResult
    func schedule(at deadline: NIODeadline, _ work: @escaping () -> Void) -> Int {
        nextTimer += 1
        timers[nextTimer] = work
        queue.insert(time: deadline, place: nextTimer)
        return nextTimer
    }

    func execute(_ task: @escaping @Sendable () -> Void) { ready.append(task) }

    func submit<Value>(_ task: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value> {
        scheduleTask(deadline: now, task).futureResult
    }

    func scheduleTask<Value>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> Value
    ) -> Scheduled<Value> {
        let promise = makePromise(of: Value.self)
        let timer = schedule(at: deadline) {
            do { promise.assumeIsolated().succeed(try task()) } catch { promise.fail(error) }
        }
        return Scheduled(promise: promise) { self.timers[timer] = nil }
    }

    func scheduleTask<Value>(
        in delay: TimeAmount, _ task: @escaping @Sendable () throws -> Value
    ) -> Scheduled<Value> {
        scheduleTask(deadline: now + delay, task)
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        callback(nil)
    }
}
