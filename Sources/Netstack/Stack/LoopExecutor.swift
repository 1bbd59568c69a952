// Where a task that waits on an event loop goes on: there.

import NIOCore

/// Runs tasks on an event loop.
///
/// The runtime resumes a continuation on the task's preferred executor and only then on the actor's. Without a
/// preference that is the global pool: two changes of thread, 20 µs, for each wait.
final class LoopExecutor: TaskExecutor {
    let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (serial, task) = (eventLoop.executor.asUnownedSerialExecutor(), asUnownedTaskExecutor())
        // On the loop, the job may go on as the loop's actors do, without another turn through its queue.
        eventLoop.execute { job.runSynchronously(isolatedTo: serial, taskExecutor: task) }
    }
}
