// A TCP connection for users: an actor on the stack's event loop over the control block.

public import NIOCore

/// A TCP connection of a userspace stack (RFC 9293).
///
/// Both directions are bounded and push back: a write waits until the stack has room for all of it, and what is not read
/// closes the window to the peer. Dropping the last reference to a connection that has not been closed resets it.
public actor TCPConnection {
    private nonisolated let executor: any SerialExecutor
    private nonisolated let flow: NIOLoopBound<Flow>
    /// This side's address and port.
    public nonisolated let localAddress: TransportAddress
    /// The peer's address and port.
    public nonisolated let remoteAddress: TransportAddress

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Called on the event loop of the stack.
    init(_ bound: NIOLoopBound<TCPControlBlock>) {
        let (block, eventLoop) = (bound.value, bound.eventLoop)
        executor = eventLoop.executor
        flow = NIOLoopBound(Flow(block), eventLoop: eventLoop)
        localAddress = block.local
        remoteAddress = block.remote
    }

    deinit {
        let flow = flow
        flow.eventLoop.execute { flow.value.block.abandon() }
    }

    /// Reads what has arrived, or waits for it.
    ///
    /// - Parameter limit: the most bytes to return, at least one; the rest stays for the next read.
    /// - Returns: at least one byte, or `nil` when the peer has closed its direction and all has been read.
    /// - Throws: `NetstackError.connectionReset` after a reset, `.closed` after a close on this side, `.timedOut`,
    ///   `.linkDown` or `.stackShutDown`; `CancellationError`.
    public func read(upTo limit: Int = .max) async throws -> ByteBuffer? {
        let flow = flow.value
        while !flow.canRead { try await flow.readers.join().wait(on: self) }
        return try flow.read(upTo: limit)
    }

    /// Writes all of `bytes`, waiting for room as often as needed. Concurrent writes do not mix.
    ///
    /// Returning means that the stack has the bytes, not that the peer has them. They are sent from where they are, not copied:
    /// until the peer has acknowledged them (with both stacks in one process, until it has read them), the memory that `bytes`
    /// is a part of stays, and a change to it copies it first.
    ///
    /// - Throws: as `read`; after `closeWrite`, `NetstackError.closed`. A cancelled write may have written a part.
    public func write(_ bytes: ByteBuffer) async throws {
        let flow = flow.value
        var rest = bytes
        if !flow.writing { try flow.block.write(&rest) }
        if rest.readableBytes > 0 { try await finishWriting(rest) }
    }

    /// Apart from `write`: what an async function takes for its waits, its task keeps.
    private func finishWriting(_ bytes: ByteBuffer) async throws {
        let flow = flow.value
        var rest = bytes
        if flow.writing {
            try await flow.writers.join().wait(on: self)
        } else {
            flow.writing = true
        }
        // The right to write goes from one writer to the next with its wake-up.
        defer { if !flow.writers.resumeFirst() { flow.writing = false } }
        while true {
            try flow.block.write(&rest)
            if rest.readableBytes == 0 { return }
            try await flow.room.join().wait(on: self)
        }
    }

    /// Shuts down this side's direction: the peer reads the end after all that was written before. Reading goes on.
    ///
    /// Writes under way finish first.
    ///
    /// - Throws: what has ended the connection while it waited for these; `CancellationError`.
    public func closeWrite() async throws {
        let flow = flow.value
        if flow.writing {
            try await flow.writers.join().wait(on: self)
            flow.writing = false
        }
        flow.block.closeWrite()
        flow.writers.resumeAll(.failure(NetstackError.closed))
    }

    /// Closes both directions. The stack still delivers what was written; reads and writes that wait throw `.closed`.
    public func close() {
        flow.value.block.close()
    }

    /// Ends the connection at once: the peer sees a reset, and what it has not acknowledged is lost.
    public func reset() {
        flow.value.block.reset()
    }

    /// The tasks that wait for a connection.
    private final class Flow: TCPControlBlockDelegate {
        let block: TCPControlBlock
        let readers: LoopWaiters
        /// Whether a task is in `write`. Others wait in `writers`, that one in `room`.
        var writing = false
        private(set) lazy var writers = LoopWaiters(executor: block.stack.executor)
        private(set) lazy var room = LoopWaiters(executor: block.stack.executor)

        init(_ block: TCPControlBlock) {
            self.block = block
            readers = LoopWaiters(executor: block.stack.executor)
            block.delegate = self
        }

        /// Whether a read would not have to wait.
        var canRead: Bool { block.canRead || block.failure != nil }

        func read(upTo limit: Int) throws -> ByteBuffer? {
            // What is left is for whoever else waits.
            defer { if block.canRead { readers.resumeFirst() } }
            if let bytes = block.read(upTo: max(limit, 1)) { return bytes }
            if let failure = block.failure { throw failure }
            return nil
        }

        func controlBlockCanRead(_ block: TCPControlBlock) {
            if block.isFinished { readers.resumeAll() } else { readers.resumeFirst() }
        }

        func controlBlockCanWrite(_ block: TCPControlBlock) { room.resumeFirst() }

        func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {
            readers.resumeAll()
            room.resumeAll(.failure(error))
            writers.resumeAll(.failure(error))
        }
    }
}
