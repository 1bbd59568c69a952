// Writes that wait: for a flush, or for room in the stack.

import DequeModule
import NIOCore
import Netstack

struct PendingWrites {
    /// A write with what is left of it.
    struct Write {
        var bytes: ByteBuffer
        /// Where a datagram goes to.
        var destination: TransportAddress?
        var promise: EventLoopPromise<Void>?
    }

    private var writes: Deque<Write> = []
    private var flushedCount = 0
    private(set) var byteCount = 0

    var isEmpty: Bool { writes.isEmpty }
    var hasFlushed: Bool { flushedCount > 0 }
    /// Whether one more has been flushed after the first.
    var hasMoreFlushed: Bool { flushedCount > 1 }

    mutating func append(_ write: Write) {
        byteCount += write.bytes.readableBytes
        writes.append(write)
    }

    mutating func markFlushed() { flushedCount = writes.count }

    /// The first that has been flushed.
    var next: Write? { hasFlushed ? writes.first : nil }

    /// Notes what is left of the first.
    mutating func update(_ first: Write) {
        guard let before = writes.first else { return }
        byteCount -= before.bytes.readableBytes - first.bytes.readableBytes
        writes[0] = first
    }

    mutating func removeFirst() {
        guard let first = writes.popFirst() else { return }
        byteCount -= first.bytes.readableBytes
        flushedCount -= 1
    }

    mutating func failAll(_ error: any Error) {
        let failed = writes
        self = PendingWrites()
        for write in failed { write.promise?.fail(error) }
    }
}
