// Where a task that waits on an event loop goes on: there.

import NIOCore

/// Runs tasks on an event loop.
///
/// The runtime resumes a continuation on the task's preferred executor and only then on the actor's. Without a
/// preference that is the global pool: two changes of thread, 20 µs, for each wait.
final class LoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop
    /// What has been made ready while `gather` runs; nil else.
    private let gathered: NIOLoopBoundBox<[UnownedJob]?>

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        gathered = .makeEmptyBox(valueType: [UnownedJob].self, eventLoop: eventLoop)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if eventLoop.inEventLoop, gathered.value != nil {
            gathered.value?.append(job)
        } else {
            runSoon(job)
        }
    }

    /// Runs `body`, and then the tasks that this has made ready: without another turn of the event loop, which a request
    /// and its response would take twice at each end.
    func gather(_ body: () -> Void) {
        // Tasks do not nest: one of them may have led here.
        guard withUnsafeCurrentTask(body: { $0 == nil }) else { return body() }
        gathered.value = []
        body()
        let jobs = gathered.value ?? []
        gathered.value = nil
        for job in jobs { run(job) }
    }

    private func runSoon(_ job: UnownedJob) { eventLoop.execute { self.run(job) } }

    /// On the loop, the job may go on as the loop's actors do, without another turn through its queue.
    private func run(_ job: UnownedJob) {
        job.runSynchronously(
            isolatedTo: eventLoop.executor.asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }
}
