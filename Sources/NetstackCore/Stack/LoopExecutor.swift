// Where a task that waits on an event loop goes on: there.

import DequeModule
import NIOCore

/// Runs tasks on an event loop.
///
/// The runtime resumes a continuation on the task's preferred executor and only then on the actor's. Without a
/// preference that is the global pool: two changes of thread, 20 µs, for each wait.
final class LoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop
    private let turn: NIOLoopBoundBox<Turn>

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        turn = .makeBoxSendingValue(Turn(), eventLoop: eventLoop)
    }

    /// Whether the current task prefers it.
    @inline(never)
    var isPreferred: Bool { withUnsafeCurrentTask { $0?.unownedTaskExecutor } == asUnownedTaskExecutor() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if eventLoop.inEventLoop, turn.value.isUnderWay {
            turn.value.ready.append(job)
        } else {
            runSoon(job)
        }
    }

    /// Runs `body`, and then the tasks that this and they have made ready, a turn of them: without another round of the event
    /// loop, which a request and its response would take twice at each end, and a task that is no actor's at each call of one.
    func gather(_ body: () -> Void) {
        // Tasks do not nest: one of them may have led here.
        if withUnsafeCurrentTask(body: { $0 == nil }) { takeTurn(body) } else { body() }
    }

    private func takeTurn(_ body: () -> Void) {
        let turn = turn.value
        turn.isUnderWay = true
        body()
        for _ in 0..<Turn.limit {
            guard let job = turn.ready.popFirst() else { break }
            // On the loop, the job may go on as the loop's actors do, without another turn through its queue.
            job.runSynchronously(
                isolatedTo: eventLoop.executor.asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        }
        turn.isUnderWay = false
        if !turn.ready.isEmpty { eventLoop.execute { self.takeTurn {} } }
    }

    private func runSoon(_ job: UnownedJob) {
        eventLoop.execute { self.takeTurn { self.turn.value.ready.append(job) } }
    }

    /// What this runs before the loop's other work has its turn.
    private final class Turn {
        /// In jobs.
        static let limit = 64
        var isUnderWay = false
        /// What has been made ready meanwhile, or is left of it.
        var ready: Deque<UnownedJob> = []
    }
}
