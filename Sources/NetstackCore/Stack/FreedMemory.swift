// What the C library is told about memory.

import CMalloc

enum FreedMemory {
    /// Lets the process keep memory that it has freed, once: batches and segments are allocated and freed all the time, and
    /// what goes back to the kernel comes again page by page, at twice the cost of the work on it.
    static let keep: Void = {
        _ = mallopt(M_MMAP_THRESHOLD, 8 << 20)
        _ = mallopt(M_TRIM_THRESHOLD, 32 << 20)
    }()
}
