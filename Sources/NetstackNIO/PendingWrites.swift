// Writes that wait: for a flush, or for room in the stack.

import DequeModule
import NIOCore
import Netstack

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

    /// Writes the first that has been flushed and returns it; nil when there is none, or no room for all of it.
    mutating func writeNext(to block: TCPControlBlock) throws(NetstackError) -> Write? {
        guard flushedCount > 0 else { return nil }
        let before = writes[0].bytes.readableBytes
        if before > 0 {
            try block.write(&writes[0].bytes)
            byteCount -= before - writes[0].bytes.readableBytes
            guard writes[0].bytes.readableBytes == 0 else { return nil }
        }
        flushedCount -= 1
        return writes.removeFirst()
    }

    mutating func failAll(_ error: any Error) {
        let failed = writes
        self = PendingWrites()
        for write in failed { write.promise?.fail(error) }
    }
}
