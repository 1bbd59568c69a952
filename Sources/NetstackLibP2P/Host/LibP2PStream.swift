// A stream to a peer, for code with async and await.

public import NIOCore
import NetstackNIO

/// A stream of bytes in both directions, to a peer that is who it says.
///
/// Both directions are bounded and push back: a write waits until the peer's window has room for all of it, and what is
/// not read holds the peer back. Dropping the last reference to a stream that has not been closed resets it.
public final class LibP2PStream: Sendable {
    /// Who is at the other end.
    public let peer: PeerID
    /// What both have agreed to speak.
    public let protocolID: String
    private let channel: StreamChannel
    private let reader: NIOLoopBound<StreamReader>

    /// Takes over a stream's channel, on its event loop.
    init(_ channel: any Channel, _ peer: PeerID, _ protocolID: String) throws {
        guard let channel = channel as? StreamChannel else { throw ChannelError.inappropriateOperationForState }
        self.peer = peer
        self.protocolID = protocolID
        self.channel = channel
        let reader = StreamReader()
        self.reader = NIOLoopBound(reader, eventLoop: channel.eventLoop)
        try channel.syncOptions?.setOption(.autoRead, value: false)
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        try channel.pipeline.syncOperations.addHandler(reader)
    }

    deinit { reset() }

    /// Reads what has arrived, or waits for it. One task at a time.
    ///
    /// - Returns: at least one byte, or `nil` when the peer has closed its direction and all has been read.
    /// - Throws: `LibP2PError.streamReset`, `.goAway`, `.closed`, or what ended the connection; `CancellationError`.
    public func read() async throws -> ByteBuffer? {
        let (eventLoop, reader) = (channel.eventLoop, reader)
        let promise = eventLoop.makePromise(of: ByteBuffer?.self)
        return try await withTaskCancellationHandler {
            eventLoop.execute { reader.value.read(promise) }
            // Cancelled by now, that may have been told before there was something to cancel.
            if Task.isCancelled { eventLoop.execute { reader.value.cancel(promise) } }
            return try await promise.futureResult.get()
        } onCancel: {
            eventLoop.execute { reader.value.cancel(promise) }
        }
    }

    /// Writes all of `bytes`, waiting for room as often as needed.
    ///
    /// Returning means that they are on their way, not that the peer has them.
    ///
    /// - Throws: as `read`; after `closeWrite`, what SwiftNIO throws. A cancelled write goes on by itself.
    public func write(_ bytes: ByteBuffer) async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.writeAndFlush(bytes, promise: promise)
        try await tellingWhy {
            try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                promise.fail(CancellationError())
            }
        }
    }

    /// Does what a closed channel refuses. The reader has been told why it is closed.
    private func tellingWhy(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as ChannelError where error == .ioOnClosedChannel || error == .alreadyClosed {
            throw try await channel.eventLoop.submit { [reader] in reader.value.failure }.get() ?? LibP2PError.closed
        }
    }

    /// Shuts down this side's direction: the peer reads the end after all that was written before. Reading goes on.
    ///
    /// - Throws: as `write`.
    public func closeWrite() async throws { try await tellingWhy { try await channel.close(mode: .output) } }

    /// Closes both directions. What was written is still delivered; but if bytes of the peer's are unread, it sees a reset.
    public func close() async { try? await channel.close() }

    /// Ends the stream at once: the peer sees a reset, and what it does not have yet is lost.
    public func reset() {
        channel.eventLoop.execute { [channel, reader] in
            reader.value.isClosed = true
            channel.reset()
        }
    }
}

/// Reads from the stream's channel when somebody asks.
private final class StreamReader: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private var context: ChannelHandlerContext?
    private var received = ByteBuffer()
    private var hasEnded = false
    /// Whether this side has closed its direction, or has ended both.
    private var outputClosed = false
    var isClosed = false
    private(set) var failure: (any Error)?
    private var reading: EventLoopPromise<ByteBuffer?>?

    func read(_ promise: EventLoopPromise<ByteBuffer?>) {
        guard reading == nil else { return promise.fail(ChannelError.inappropriateOperationForState) }
        reading = promise
        answer()
        if reading != nil { context?.read() }
    }

    /// Gives up a read that waits: what arrives then is for the next.
    func cancel(_ promise: EventLoopPromise<ByteBuffer?>) {
        guard reading?.futureResult === promise.futureResult else { return }
        reading = nil
        promise.fail(CancellationError())
    }

    private func answer() {
        guard let promise = reading else { return }
        if received.readableBytes > 0 {
            promise.succeed(received)
            received = ByteBuffer()
        } else if let failure {
            promise.fail(failure)
        } else if hasEnded {
            promise.succeed(nil)
        } else {
            return
        }
        reading = nil
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end(LibP2PError.closed)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        answer()
        if reading != nil { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .inputClosed:
            hasEnded = true
            answer()
        case .outputClosed: outputClosed = true
        case nil: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(error)
        context.close(promise: nil)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .all { isClosed = true }
        context.close(mode: mode, promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // With the output closed, a channel closes at the input's end instead of telling of it.
        if outputClosed, !isClosed, failure == nil { hasEnded = true }
        end(LibP2PError.closed)
        context.fireChannelInactive()
    }

    private func end(_ error: any Error) {
        if !hasEnded { failure = failure ?? error }
        answer()
    }
}
