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
package final class TCPListenerCore {
    private let binding: PortBinding
    private let backlog: Int
    private weak var stack: StackCore?
    private var ready: Deque<TCPControlBlock> = []
    private var opening = 0
    private var ended = false
    /// Why it has ended, if not by a close.
    package private(set) var failure: NetstackError?
    private let waiters: LoopWaiters
    /// Called on the event loop when there is a connection to take, and when the listener has ended with a failure.
    package var changed: (() -> Void)?

    init(_ binding: PortBinding, backlog: Int, stack: StackCore) {
        self.binding = binding
        self.backlog = backlog
        self.stack = stack
        waiters = LoopWaiters(executor: stack.executor)
    }

    package var localAddress: TransportAddress { binding.transportAddress }

    func open(_ request: TCPForwardRequest) {
        guard !ended, ready.count + opening < backlog else {
            request.nic.statistics.drop(.backlog)
            return request.drop()
        }
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
        ready.append(block)
        if !waiters.resumeFirst() { changed?() }
    }

    package var hasReady: Bool { !ready.isEmpty }

    /// Takes a connection that waits.
    package func take() -> TCPControlBlock? { ready.popFirst() }

    func next(isolation: isolated any Actor = #isolation) async throws -> TCPConnection? {
        // What is left is for whoever else waits.
        defer { if !ready.isEmpty { waiters.resumeFirst() } }
        while true {
            if let block = take() { return TCPConnection(block.bound) }
            if let failure { throw failure }
            if ended { return nil }
            try await waiters.join().wait(on: isolation)
        }
    }

    package func end(_ error: NetstackError?) {
        guard !ended else { return }
        ended = true
        failure = error
        if let stack, stack.listeners[binding] === self { stack.listeners[binding] = nil }
        for block in ready { block.reset() }
        ready.removeAll()
        waiters.resumeAll()
        let changed = changed
        self.changed = nil
        if error != nil { changed?() }
    }
}
