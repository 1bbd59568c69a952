// Accepting connections.

import DequeModule
import NIOCore

/// Connections that peers open to a port of a stack, as an asynchronous sequence.
///
/// ```swift
/// for try await connection in try await stack.listen(port: 80) { … }
/// ```
/// Connections are shared between iterations: each is returned once. Up to `backlog` wait to be taken; beyond that the
/// stack lets SYNs go unanswered, and peers try again.
public final class TCPListener: AsyncSequence, Sendable {
    public typealias Element = TCPConnection

    /// Where it listens. Address zero stands for all addresses of the stack.
    public let localAddress: TransportAddress
    private let core: NIOLoopBound<TCPListenerCore>
    private let stack: Stack

    init(_ core: NIOLoopBound<TCPListenerCore>, localAddress: TransportAddress, stack: Stack) {
        self.core = core
        self.localAddress = localAddress
        self.stack = stack
    }

    deinit {
        let core = core
        core.eventLoop.execute { core.value.end(nil) }
    }

    /// Stops listening and ends the iterations. Connections that nobody has taken are reset.
    public func close() async {
        await core.execute { $0.end(nil) }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(listener: self) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let listener: TCPListener

        /// - Throws: `NetstackError.stackShutDown`; `CancellationError`.
        public func next() async throws -> TCPConnection? {
            try await listener.stack.accept(from: listener.core)
        }
    }
}

extension Stack {
    fileprivate func accept(from core: NIOLoopBound<TCPListenerCore>) async throws -> TCPConnection? {
        try await core.value.next()
    }
}

/// A listener on the event loop.
final class TCPListenerCore {
    private let binding: PortBinding
    private let backlog: Int
    private weak var stack: StackCore?
    private var ready: Deque<TCPConnection> = []
    private var opening = 0
    private var ended = false
    private var error: NetstackError?
    private let waiters: LoopWaiters
    /// Takes connections on the event loop, in place of the queue.
    var handler: ((TCPControlBlock) -> Void)?

    init(_ binding: PortBinding, backlog: Int, stack: StackCore) {
        self.binding = binding
        self.backlog = backlog
        self.stack = stack
        waiters = LoopWaiters(executor: stack.executor)
    }

    func take(_ request: TCPForwardRequest) {
        guard !ended, ready.count + opening < backlog else { return request.drop() }
        opening += 1
        let accepted = request.accept { [weak self] result in
            guard let self else { return (try? result.get())?.reset() ?? () }
            opening -= 1
            if case .success(let block) = result { deliver(block) }
        }
        if accepted == nil { opening -= 1 }
    }

    private func deliver(_ block: TCPControlBlock) {
        guard !ended else { return block.reset() }
        if let handler { return handler(block) }
        ready.append(TCPConnection(block.bound))
        waiters.resumeFirst()
    }

    func next(isolation: isolated any Actor = #isolation) async throws -> TCPConnection? {
        // What is left is for whoever else waits.
        defer { if !ready.isEmpty { waiters.resumeFirst() } }
        while true {
            if let connection = ready.popFirst() { return connection }
            if let error { throw error }
            if ended { return nil }
            try await waiters.join().wait()
        }
    }

    func end(_ error: NetstackError?) {
        guard !ended else { return }
        ended = true
        self.error = error
        handler = nil
        // Their last references: dropping them resets them.
        ready.removeAll()
        if let stack, stack.listeners[binding] === self { stack.listeners[binding] = nil }
        waiters.resumeAll()
    }
}
