// How many names are resolved at once, and with how much patience.

/// The names that a stack is resolving. It lives on the stack's event loop.
final class Resolutions {
    /// How many names may be asked about at once. An exit lets one source have four times as many queries waiting, and each
    /// name makes two.
    static let limit = 32

    /// How long a name server may take, each time it is asked.
    var patience: [Duration] = [.seconds(1), .seconds(2), .seconds(4)]
    private var free = Resolutions.limit
    private let waiters: LoopWaiters

    init(executor: LoopExecutor) { waiters = LoopWaiters(executor: executor) }

    func enter(isolation: isolated any Actor = #isolation) async throws {
        if free > 0 { free -= 1 } else { try await waiters.join().wait(on: isolation) }
    }

    /// The right to go on passes to the next in line.
    func leave() {
        if !waiters.resumeFirst() { free += 1 }
    }
}
