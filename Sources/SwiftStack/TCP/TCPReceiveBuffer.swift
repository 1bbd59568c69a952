// What has arrived and is not read, and the window that is offered for more (RFC 9293 section 3.8.6).

import DequeModule
import NIOCore

/// The bytes in order, as the buffers they came in, and how many of them there may be.
struct TCPReceiveBuffer {
    private var pieces = Deque<ByteBuffer>()
    /// Whether the memory of `pieces` is worth giving back.
    private var hasGrown = false
    /// What was read since the limit was last doubled for the use of it.
    private var usedBytes: UInt32 = 0
    /// Bytes to be read.
    private(set) var count = 0
    /// Bytes that it holds at most: the receive window when nothing waits to be read.
    private(set) var limit: Int
    /// What was read since `measuredSince`.
    private var readBytes = 0
    private var measuredSince: NIODeadline

    init(limit: Int, now: NIODeadline) {
        self.limit = limit
        measuredSince = now
    }

    /// Bytes that there is room for.
    var room: Int { max(limit - count, 0) }

    mutating func append(_ bytes: ByteBuffer) {
        count += bytes.readableBytes
        if pieces.isEmpty || !pieces[pieces.count - 1].gather(bytes) {
            pieces.append(bytes)
            if pieces.count > 4 { hasGrown = true }
        }
    }

    /// Takes up to `limit` bytes of the first piece off the front.
    mutating func read(upTo limit: Int) -> ByteBuffer? {
        guard limit > 0, let first = pieces.first else { return nil }
        if first.readableBytes <= limit {
            pieces.removeFirst()
            if pieces.isEmpty, hasGrown {
                pieces = []
                hasGrown = false
            }
            took(first.readableBytes)
            return first
        }
        took(limit)
        return pieces[0].readSlice(length: limit)
    }

    private mutating func took(_ length: Int) {
        count -= length
        readBytes += length
        usedBytes = UInt32(clamping: Int(usedBytes) + length)
    }

    /// Doubles the limit where all of it has been used, and no round trip calls for it: so all who share a link come to the
    /// same, whatever each has had of it so far.
    mutating func grow(to maximum: Int) {
        guard usedBytes >= limit, limit < maximum else { return }
        limit = min(2 * limit, maximum)
        usedBytes = 0
    }

    /// Dynamic right-sizing: the limit becomes twice what the user reads in a round trip, so that a sender whose window
    /// doubles finds room, and an idle reader's does not grow.
    mutating func tune(roundTrip: TimeAmount, maximum: Int, now: NIODeadline) {
        guard now - measuredSince >= roundTrip else { return }
        limit = max(limit, min(2 * readBytes, maximum))
        readBytes = 0
        measuredSince = now
    }

    /// Nothing has come for long. What was offered stays so (RFC 9293 section 3.8.6): the window gets smaller as it is used.
    mutating func giveBack(to limit: Int) {
        self.limit = min(self.limit, limit)
        usedBytes = 0
    }

    /// Gives back memory that nothing lies in.
    mutating func shrink() { if pieces.isEmpty { pieces = Deque() } }

    mutating func removeAll() {
        pieces = []
        count = 0
    }
}
