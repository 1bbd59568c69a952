// Writes that wait: for a flush, or for room in the stack.

import DequeModule
import NIOCore

struct PendingWrites {
    /// A write with what is left of it.
    struct Write {
        var bytes: ByteBuffer
        var promise: EventLoopPromise<Void>?
    }

    private var writes: Deque<Write> = []
    private var flushedCount = 0
    private(set) var byteCount = 0

    var hasFlushed: Bool { flushedCount > 0 }

    mutating func append(_ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        byteCount += bytes.readableBytes
        writes.append(Write(bytes: bytes, promise: promise))
    }

    mutating func markFlushed() { flushedCount = writes.count }

    /// The first that has been flushed.
    var next: Write? {
        guard flushedCount > 0 else { return nil }
        return writes.first
    }

    /// Notes what is left of the first write; takes it away when that is nothing.
    mutating func update(_ first: Write) {
        guard let before = writes.first else { return }
        byteCount -= before.bytes.readableBytes - first.bytes.readableBytes
        if first.bytes.readableBytes > 0 {
            writes[0] = first
        } else {
            flushedCount -= 1
            writes.removeFirst()
        }
    }

    mutating func failAll(_ error: any Error) {
        let failed = writes
        self = PendingWrites()
        for write in failed { write.promise?.fail(error) }
    }
}
