// Clocks of the system, read as cheaply as they can be.

import Glibc

enum Nanoseconds {
    /// Of a clock that only goes forward.
    static var now: Int { read(CLOCK_MONOTONIC) }

    /// What the calling thread has worked: not what it has waited, for others or for its turn.
    static var ofThisThread: Int { read(CLOCK_THREAD_CPUTIME_ID) }

    private static func read(_ clock: CInt) -> Int {
        var time = timespec()
        clock_gettime(clock, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

extension Double {
    /// A time in seconds.
    var nanoseconds: Int { Int(self * 1e9) }
}
