// An event loop whose time stands still until it is moved.

import DequeModule
import Dispatch
import NIOCore

/// Everything on it happens on the caller's thread, in `run` and `advance`, and in the same order each time.
///
/// NIO's own embedded loop can't be an actor's executor. This one lives in one task and is never used from another.
final class SteppedLoop: EventLoop, NIOSerialEventLoopExecutor, @unchecked Sendable {
    private struct Timer {
        let id: Int
        let deadline: NIODeadline
        let work: () -> Void
    }

    private(set) var now = NIODeadline.uptimeNanoseconds(1 << 40)
    private var ready: Deque<() -> Void> = []
    private var timers: [Timer] = []
    private var nextID = 0

    var inEventLoop: Bool { true }
    var isIdle: Bool { ready.isEmpty && timers.isEmpty }

    /// Does what is ready, and what becomes ready by that.
    func run() {
        while let work = ready.popFirst() { work() }
    }

    /// Moves time on, and does what falls due in between in its order.
    func advance(by amount: TimeAmount) {
        let end = now + amount
        run()
        while let next = timers.indices.min(by: { timers[$0].deadline < timers[$1].deadline }),
            timers[next].deadline <= end
        {
            let timer = timers.remove(at: next)
            now = max(now, timer.deadline)
            timer.work()
            run()
        }
        now = end
    }

    func execute(_ task: @escaping @Sendable () -> Void) { ready.append(task) }

    func submit<Value>(_ task: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value> {
        scheduleTask(deadline: now, task).futureResult
    }

    func scheduleTask<Value>(
        deadline: NIODeadline, _ task: @escaping @Sendable () throws -> Value
    ) -> Scheduled<Value> {
        let promise = makePromise(of: Value.self)
        let id = nextID
        nextID += 1
        timers.append(
            Timer(id: id, deadline: deadline) {
                do { promise.assumeIsolated().succeed(try task()) } catch { promise.fail(error) }
            })
        return Scheduled(promise: promise) { self.timers.removeAll { $0.id == id } }
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
