// Servers of HTTP/2 that are reached without a network, in a time of their own.

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOSSL
import NetstackHTTP

/// Dials servers of its own. What either end writes gets to the other when a test carries it.
struct MemoryServers: HTTPDialer {
    let loop = NIOAsyncTestingEventLoop()
    let server = HTTP2Server(port: 443)
    private let context: NIOSSLContext
    private let state = NIOLockedValueBox(State())

    private struct State {
        var pairs: [(near: NIOAsyncTestingChannel, far: NIOAsyncTestingChannel)] = []
        /// How many of these, from the first, carry nothing any more.
        var vanished = 0
    }

    init(_ context: NIOSSLContext) { self.context = context }

    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        let (near, far) = (NIOAsyncTestingChannel(loop: loop), NIOAsyncTestingChannel(loop: loop))
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        try await loop.executeInContext {
            try near.syncOptions?.setOption(.autoRead, value: false)
            try far.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
            try server.accept(far, 100)
        }
        for channel in [near, far] { try await channel.connect(to: address).get() }
        state.withLockedValue { $0.pairs.append((near, far)) }
        return near
    }

    /// Cuts all connections that there are, and tells nobody.
    func vanish() { state.withLockedValue { $0.vanished = $0.pairs.count } }

    /// Carries what has been written.
    ///
    /// - Returns: whether that was anything.
    @discardableResult
    func carryAll() async throws -> Bool {
        var hasCarried = false
        for (near, far) in state.withLockedValue({ $0.pairs[$0.vanished...] }) {
            for (from, to) in [(near, far), (far, near), (near, far)] {
                while let bytes = try await from.readOutbound(as: ByteBuffer.self) {
                    hasCarried = true
                    try await loop.executeInContext {
                        to.pipeline.fireChannelRead(bytes)
                        to.pipeline.fireChannelReadComplete()
                    }
                }
            }
            // An end is carried as well.
            if !near.isActive { far.close(promise: nil) }
            if !far.isActive { near.close(promise: nil) }
        }
        return hasCarried
    }

    /// Carries until a task is done.
    @discardableResult
    func carry<Value: Sendable, Failure: Error>(until task: Task<Value, Failure>) async throws -> Value {
        let isDone = NIOLockedValueBox(false)
        let watch = Task {
            _ = await task.result
            isDone.withLockedValue { $0 = true }
        }
        while !isDone.withLockedValue({ $0 }) {
            try await carryAll()
            await Task.yield()
        }
        await watch.value
        return try await task.value
    }

    /// Waits until a client writes to a server that has vanished.
    func waitForAWrite() async throws {
        while true {
            for (near, _) in state.withLockedValue({ $0.pairs[..<$0.vanished] }) {
                if try await near.readOutbound(as: ByteBuffer.self) != nil { return }
            }
            await Task.yield()
        }
    }

    /// Lets go of everything.
    func finish() async throws {
        let channels = state.withLockedValue { $0.pairs.flatMap { [$0.near, $0.far] } }
        for channel in channels { channel.close(promise: nil) }
        // TLS waits for what its peer ends with.
        await loop.advanceTime(by: .seconds(30))
        for channel in channels { _ = try await channel.finish(acceptAlreadyClosed: true) }
    }
}
