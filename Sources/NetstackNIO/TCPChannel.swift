// A NIO channel over a TCP connection of a stack: every handler that works on a socket works on it.

import NIOConcurrencyHelpers
package import NIOCore
package import Netstack

/// A connection of a userspace stack as a NIO channel of `ByteBuffer`s.
///
/// It runs on the event loop of its stack. Its options are `autoRead`, `allowRemoteHalfClosure` and
/// `writeBufferWaterMark`, with the meanings and defaults they have for sockets.
package final class TCPChannel: Channel, @unchecked Sendable {
    // Unchecked: everything but `flags` is touched on the event loop only, or never changes.

    package let eventLoop: any EventLoop
    package let allocator = ByteBufferAllocator()
    package let parent: (any Channel)? = nil
    package let localAddress: SocketAddress?
    package let remoteAddress: SocketAddress?
    /// Set once in `init`: a pipeline needs its channel first.
    private var _pipeline: ChannelPipeline!
    package var pipeline: ChannelPipeline { _pipeline }
    package var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    package var _channelCore: any ChannelCore { self }

    private struct Flags {
        var isActive = false
        var isWritable = true
    }

    private let flags = NIOLockedValueBox(Flags())
    package var isActive: Bool { flags.withLockedValue { $0.isActive } }
    package var isWritable: Bool { flags.withLockedValue { $0.isWritable } }

    private let closePromise: EventLoopPromise<Void>
    private let block: TCPControlBlock
    private var isClosed = false
    private var writes = PendingWrites()
    private var isWriting = false
    private var readPending = false
    private var inputClosed = false
    private var outputClosed = false
    /// Waits for the writes before it.
    private var outputClosePromise: EventLoopPromise<Void>?
    private var closesOutputAfterWrites = false

    fileprivate var autoRead = true
    fileprivate var allowRemoteHalfClosure = false
    fileprivate var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 64 << 10)

    /// Takes over an open connection. Handlers are added before ``activate()``.
    package init(_ block: TCPControlBlock) {
        self.block = block
        eventLoop = block.stack.eventLoop
        localAddress = try? block.local.socketAddress()
        remoteAddress = try? block.remote.socketAddress()
        closePromise = eventLoop.makePromise()
        _pipeline = ChannelPipeline(channel: self)
    }

    /// Begins to move bytes.
    package func activate() {
        guard !isClosed else { return }
        flags.withLockedValue { $0.isActive = true }
        pipeline.syncOperations.fireChannelRegistered()
        pipeline.syncOperations.fireChannelActive()
        if autoRead { pipeline.syncOperations.read() }
        block.delegate = self
    }
}

// MARK: - Reading and writing

extension TCPChannel: ChannelCore, TCPControlBlockDelegate {
    package func read0() {
        readPending = true
        deliver()
    }

    /// Hands on what has arrived, if a read has been asked for.
    private func deliver() {
        guard readPending, !isClosed, !inputClosed else { return }
        if let bytes = block.read() {
            readPending = false
            pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
            readComplete()
        } else if block.isFinished {
            readPending = false
            if allowRemoteHalfClosure {
                inputClosed = true
                pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
                readComplete()
                if outputClosed { close0(error: ChannelError.eof, mode: .all, promise: nil) }
            } else {
                close0(error: ChannelError.eof, mode: .all, promise: nil)
            }
        }
    }

    private func readComplete() {
        pipeline.syncOperations.fireChannelReadComplete()
        if autoRead, !isClosed { pipeline.syncOperations.read() }
    }

    package func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isClosed else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        guard !outputClosed, !closesOutputAfterWrites else { return promise?.fail(ChannelError.outputClosed) ?? () }
        guard let bytes = tryUnwrapData(data, as: ByteBuffer.self) else {
            return promise?.fail(ChannelError.operationUnsupported) ?? ()
        }
        writes.append(bytes, promise)
        updateWritability()
    }

    package func flush0() {
        writes.markFlushed()
        writeFlushed()
    }

    private func writeFlushed() {
        guard !isWriting else { return }
        isWriting = true
        defer { isWriting = false }
        do {
            while !isClosed, var write = writes.next {
                // Nothing of the channel is held meanwhile: a write may lead to events elsewhere, and those back here.
                try block.write(&write.bytes)
                guard !isClosed else { return }
                writes.update(write)
                guard write.bytes.readableBytes == 0 else { break }
                write.promise?.succeed()
            }
        } catch {
            return close0(error: error, mode: .all, promise: nil)
        }
        guard !isClosed else { return }
        updateWritability()
        if closesOutputAfterWrites, !writes.hasFlushed { closeOutput() }
    }

    private func updateWritability() {
        let bytes = writes.byteCount
        let changed = flags.withLockedValue { flags in
            let writable = flags.isWritable ? bytes <= waterMark.high : bytes < waterMark.low
            defer { flags.isWritable = writable }
            return writable != flags.isWritable
        }
        if changed { pipeline.syncOperations.fireChannelWritabilityChanged() }
    }

    package func controlBlockCanRead(_ block: TCPControlBlock) { deliver() }

    package func controlBlockCanWrite(_ block: TCPControlBlock) { writeFlushed() }

    package func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {
        guard !isClosed else { return }
        pipeline.syncOperations.fireErrorCaught(error)
        close0(error: error, mode: .all, promise: nil)
    }

    // MARK: Closing

    package func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard !isClosed else { return promise?.fail(ChannelError.alreadyClosed) ?? () }
        switch mode {
        case .output:
            guard !outputClosed, !closesOutputAfterWrites else { return promise?.fail(ChannelError.outputClosed) ?? () }
            closesOutputAfterWrites = true
            outputClosePromise = promise
            if !writes.hasFlushed { closeOutput() }
        case .input:
            guard !inputClosed else { return promise?.fail(ChannelError.inputClosed) ?? () }
            inputClosed = true
            promise?.succeed()
            pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            if outputClosed { close0(error: error, mode: .all, promise: nil) }
        case .all:
            closeAll(error, promise)
        }
    }

    private func closeOutput() {
        closesOutputAfterWrites = false
        outputClosed = true
        block.closeWrite()
        outputClosePromise?.succeed()
        outputClosePromise = nil
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        if inputClosed { close0(error: ChannelError.eof, mode: .all, promise: nil) }
    }

    private func closeAll(_ error: any Error, _ promise: EventLoopPromise<Void>?) {
        isClosed = true
        let wasActive = flags.withLockedValue { flags in
            defer { flags = Flags(isActive: false, isWritable: false) }
            return flags.isActive
        }
        block.delegate = nil
        block.close()
        writes.failAll(ChannelError.ioOnClosedChannel)
        outputClosePromise?.fail(ChannelError.ioOnClosedChannel)
        outputClosePromise = nil
        closesOutputAfterWrites = false
        promise?.succeed()
        if wasActive { pipeline.syncOperations.fireChannelInactive() }
        pipeline.syncOperations.fireChannelUnregistered()
        // Handlers may still be in the middle of the event that led here.
        eventLoop.execute { [self] in
            removeHandlers(pipeline: pipeline)
            closePromise.succeed()
        }
    }

    // MARK: What a connection that is open already has no use for

    package func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    package func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    package func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    package func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }

    package func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.connectPending)
    }

    package func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func channelRead0(_ data: NIOAny) {}

    package func errorCaught0(error: any Error) {}
}

// MARK: - Options

extension TCPChannel {
    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        if eventLoop.inEventLoop { return eventLoop.makeCompletedFuture { try set(option, value) } }
        return eventLoop.submit { try self.set(option, value) }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        if eventLoop.inEventLoop { return eventLoop.makeCompletedFuture { try get(option) } }
        return eventLoop.submit { try self.get(option) }
    }

    package var syncOptions: (any NIOSynchronousChannelOptions)? { SynchronousOptions(channel: self) }

    private struct SynchronousOptions: NIOSynchronousChannelOptions {
        let channel: TCPChannel
        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            try channel.set(option, value)
        }
        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value { try channel.get(option) }
    }

    private func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        switch (option, value) {
        case (is ChannelOptions.Types.AutoReadOption, let value as Bool):
            let begins = value && !autoRead
            autoRead = value
            if begins, isActive { pipeline.syncOperations.read() }
        case (is ChannelOptions.Types.AllowRemoteHalfClosureOption, let value as Bool):
            allowRemoteHalfClosure = value
        case (
            is ChannelOptions.Types.WriteBufferWaterMarkOption, let value as ChannelOptions.Types.WriteBufferWaterMark
        ):
            waterMark = value
            updateWritability()
        default:
            throw ChannelError.operationUnsupported
        }
    }

    private func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: autoRead
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: allowRemoteHalfClosure
            case is ChannelOptions.Types.WriteBufferWaterMarkOption: waterMark
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }
}
