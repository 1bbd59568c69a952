// A channel over a stream of bytes in each direction: reading, writing, and the closing of one direction or both.

package import NIOCore

/// A stream of bytes in each direction, bounded both ways, on an event loop.
///
/// It tells its channel by `deliver` of what has arrived, of the end, and of a failure; by `writeFlushed`, of room. While it
/// is called by the channel, it calls nobody.
package protocol StreamTransport: AnyObject {
    /// Whether a read returns something, or the end has come.
    var canRead: Bool { get }
    /// Whether the peer has closed its direction.
    var peerFinished: Bool { get }
    /// Whether all has been read, too.
    var isFinished: Bool { get }
    /// What has ended it.
    var streamFailure: (any Error)? { get }

    func read(upTo limit: Int) -> ByteBuffer?

    /// Takes as many bytes as there is room for, off the front.
    func write(_ bytes: inout ByteBuffer, more: Bool) throws

    func closeWrite()

    /// Closes both directions. What has been written is still delivered.
    func close()

    /// Ends it so that the peer sees a reset.
    func reset()
}

/// A transport's stream as a channel of `ByteBuffer`s.
package class StreamChannel: VirtualChannel, @unchecked Sendable {
    final var transport: (any StreamTransport)?
    private final var inputClosed = false
    private final var outputClosed = false
    /// Whether the output is to be closed after the writes that wait.
    private final var closesOutput = false
    private final var outputClosePromise: EventLoopPromise<Void>?
    private final var isReset = false
    private final var allowRemoteHalfClosure = false
    /// The most bytes of a read: by default what there is.
    private final var recvAllocator: any RecvByteBufferAllocator = FixedSizeRecvByteBufferAllocator(capacity: .max)

    /// - Parameter transport: an open stream; or nil, for a subclass that opens one.
    package init(_ transport: (any StreamTransport)?, on eventLoop: any EventLoop, parent: (any Channel)? = nil) {
        self.transport = transport
        super.init(on: eventLoop, parent: parent)
    }

    // MARK: Opening

    /// Begins with a stream that is open.
    package final func activate() { registerAlreadyConfigured0(promise: nil) }

    package override final func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        guard transport != nil, state == .fresh else {
            return promise?.fail(ChannelError.inappropriateOperationForState) ?? ()
        }
        register0(promise: nil)
        guard isOpen else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        listen()
        becomeActive(promise)
    }

    /// Called before the first news is wanted.
    func listen() {}

    // MARK: Reading

    package override final func read0() { if !inputClosed { super.read0() } }

    override final var canReceive: Bool { transport?.canRead ?? false }

    override final var isEnding: Bool {
        guard let transport, !inputClosed else { return false }
        return transport.peerFinished || transport.streamFailure != nil
    }

    override final func receive() -> NIOAny? {
        guard let transport, !inputClosed else { return nil }
        let limit = max(recvAllocator.nextBufferSize() ?? .max, 1)
        var bytes: ByteBuffer?
        withoutNews { bytes = transport.read(upTo: limit) }
        guard let bytes else { return nil }
        _ = recvAllocator.record(actualReadBytes: bytes.readableBytes)
        return NIOAny(bytes)
    }

    override final func received() {
        guard let transport else { return }
        if transport.isFinished, !inputClosed {
            pipeline.syncOperations.fireChannelReadComplete()
            close0(error: ChannelError.eof, mode: allowRemoteHalfClosure ? .input : .all, promise: nil)
        }
        if let failure = transport.streamFailure, isOpen { fail(failure) }
    }

    // MARK: Writing

    override final func write(for message: NIOAny) throws -> PendingWrites.Write {
        guard !outputClosed else { throw ChannelError.outputClosed }
        guard let bytes = tryUnwrapData(message, as: ByteBuffer.self) else { throw ChannelError.operationUnsupported }
        return .init(bytes: bytes)
    }

    override final func send(_ write: inout PendingWrites.Write, more: Bool) throws {
        // One that has failed says so by itself, after what it has received.
        guard let transport, transport.streamFailure == nil else { return }
        try transport.write(&write.bytes, more: more)
    }

    override final func wroteFlushed() {
        guard closesOutput, writes.isEmpty else { return }
        closesOutput = false
        outputClosed = true
        withoutNews { transport?.closeWrite() }
        let promise = outputClosePromise
        outputClosePromise = nil
        promise?.succeed()
        guard isOpen else { return }
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        if inputClosed { super.close0(error: ChannelError.outputClosed, mode: .all, promise: nil) }
    }

    // MARK: Closing

    package override final func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen, mode != .all else { return super.close0(error: error, mode: mode, promise: promise) }
        guard isActive else { return promise?.fail(ChannelError.inappropriateOperationForState) ?? () }
        switch mode {
        case .output where outputClosed:
            promise?.fail(ChannelError.outputClosed)
        case .input where inputClosed:
            promise?.fail(ChannelError.inputClosed)
        case .output where inputClosed, .input where outputClosed:
            super.close0(error: error, mode: .all, promise: promise)
        case .output:
            closesOutput = true
            outputClosePromise.setOrCascade(to: promise)
            wroteFlushed()
        case .input, .all:
            inputClosed = true
            promise?.succeed()
            guard isOpen else { return }
            pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            // As with sockets: an input that may not be closed alone takes the channel with it.
            guard !allowRemoteHalfClosure else { return }
            eventLoop.execute {
                if self.isOpen { self.close0(error: ChannelError.eof, mode: .all, promise: nil) }
            }
        }
    }

    /// Ends the stream so that the peer sees a reset.
    package final func reset() {
        guard isOpen else { return }
        isReset = true
        close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
    }

    /// Whether the channel's end is to be a reset, and not in good order.
    var resetsOnClose: Bool { isReset }

    override func release(_ error: any Error) {
        if resetsOnClose { transport?.reset() } else { transport?.close() }
        outputClosePromise?.fail(error)
    }

    // MARK: Options

    override func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        switch (option, value) {
        case (is ChannelOptions.Types.AllowRemoteHalfClosureOption, let value as Bool):
            allowRemoteHalfClosure = value
        case (is ChannelOptions.Types.RecvAllocatorOption, let value as any RecvByteBufferAllocator):
            recvAllocator = value
        default:
            try super.set(option, value)
        }
    }

    override func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: allowRemoteHalfClosure
            case is ChannelOptions.Types.RecvAllocatorOption: recvAllocator
            default: nil
            }
        return try value as? Option.Value ?? super.get(option)
    }
}
