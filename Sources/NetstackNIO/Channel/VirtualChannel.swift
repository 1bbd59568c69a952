// What channels without a socket have in common: NIO's promises about states, the order of events, and the ends of writes.

import NIOConcurrencyHelpers
package import NIOCore

/// A channel over something that is no socket: a connection of a stack, a stream among others on a connection.
///
/// A subclass moves the data: it overrides `bind0` or `connect0`, and what is listed under "For subclasses".
package class VirtualChannel: Channel, ChannelCore, @unchecked Sendable {
    // Unchecked: everything but `shared` is touched on the event loop only, or never changes.

    enum State {
        case fresh, registered
        /// Open, while `channelActive` is still to be told.
        case activating
        case active, closed
    }

    /// What other threads may look at.
    private struct Shared {
        var isActive = false
        var isWritable = true
        var allocator = ByteBufferAllocator()
        var local: SocketAddress?
        var remote: SocketAddress?
    }

    package final let eventLoop: any EventLoop
    package final let parent: (any Channel)?
    private let shared = NIOLockedValueBox(Shared())
    private let closePromise: EventLoopPromise<Void>
    /// Set once in `init`: a pipeline needs its channel first.
    private var _pipeline: ChannelPipeline!

    private(set) final var state = State.fresh
    private(set) final var writes = PendingWrites()
    private var isWriting = false
    /// What handlers have been told that `isWritable` is.
    private var toldWritable = true
    private final var readPending = false
    private var isReading = false
    final var pendingConnect: EventLoopPromise<Void>?

    private var autoRead = true
    private var maxMessagesPerRead: UInt = 4
    private var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 64 << 10)

    init(on eventLoop: any EventLoop, parent: (any Channel)? = nil) {
        self.parent = parent
        self.eventLoop = eventLoop
        closePromise = eventLoop.makePromise()
        _pipeline = ChannelPipeline(channel: self)
    }

    package final var pipeline: ChannelPipeline { _pipeline }
    package final var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    package final var _channelCore: any ChannelCore { self }
    package final var allocator: ByteBufferAllocator { shared.withLockedValue { $0.allocator } }
    package final var isActive: Bool { shared.withLockedValue { $0.isActive } }
    package var isWritable: Bool { shared.withLockedValue { $0.isWritable } }
    package final var localAddress: SocketAddress? { shared.withLockedValue { $0.local } }
    package final var remoteAddress: SocketAddress? { shared.withLockedValue { $0.remote } }
    package final var syncOptions: (any NIOSynchronousChannelOptions)? { SynchronousOptions(channel: self) }

    final var isOpen: Bool { state != .closed }

    final func setAddresses(local: SocketAddress?, remote: SocketAddress?) {
        shared.withLockedValue { ($0.local, $0.remote) = (local, remote) }
    }

    // MARK: - For subclasses

    /// The next that has arrived, for `channelRead`.
    func receive() -> NIOAny? { nil }

    /// Whether `receive` would have something.
    var canReceive: Bool { false }

    /// Whether what has arrived is the last: it is handed on without being asked for, as the end must not wait.
    var isEnding: Bool { false }

    /// Called when all that has arrived has been handed on, or nobody has asked for the rest.
    func received() {}

    /// What is to be written for an outbound message.
    func write(for message: NIOAny) throws -> PendingWrites.Write { throw ChannelError.operationUnsupported }

    /// Takes as much of a write as there is room for, and calls `writeFlushed` when there is more.
    ///
    /// - Parameter more: whether another write follows at once.
    func send(_ write: inout PendingWrites.Write, more: Bool) throws {}

    /// Whether the channel ends with an error of `send`; if not, only the write fails.
    func ends(with error: any Error) -> Bool { true }

    /// Called when everything that was flushed has been sent.
    func wroteFlushed() {}

    /// Runs `body`, which calls what is under the channel, so that this calls nobody back before the end: no handler is
    /// told of one thing in the middle of another.
    func withoutNews(_ body: () throws -> Void) rethrows { try body() }

    /// Lets go of what is under the channel, which is closed already.
    func release(_ error: any Error) {}

    // MARK: - Beginning

    package final func register0(promise: EventLoopPromise<Void>?) {
        guard isOpen else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        guard state == .fresh else { return promise?.fail(ChannelError.inappropriateOperationForState) ?? () }
        state = .registered
        promise?.succeed()
        pipeline.syncOperations.fireChannelRegistered()
    }

    package func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    /// Why the channel can't be bound or connected now.
    final var whyNotReady: ChannelError? {
        switch state {
        case .closed: .ioOnClosedChannel
        case .registered: pendingConnect == nil ? nil : .connectPending
        case .fresh, .activating, .active: .inappropriateOperationForState
        }
    }

    final func becomeActive(_ promise: EventLoopPromise<Void>?) {
        state = .activating
        shared.withLockedValue { $0.isActive = true }
        promise?.succeed()
        guard state == .activating else { return }
        state = .active
        pipeline.syncOperations.fireChannelActive()
        guard isOpen else { return }
        writeFlushed()
        readIfNeeded()
    }

    // MARK: - Reading

    package func read0() {
        guard isOpen else { return }
        readPending = true
        // Not now: whoever asks may be in the middle of an event.
        if !isReading, canReceive { eventLoop.execute { self.deliver() } }
    }

    private func readIfNeeded() {
        if state == .active, autoRead, !readPending { pipeline.syncOperations.read() }
    }

    /// Hands on what has arrived, as far as it has been asked for.
    package final func deliver() {
        guard !isReading else { return }
        isReading = true
        while state == .active, readPending || isEnding, readOnce() {}
        isReading = false
        if state == .active { received() }
    }

    private func readOnce() -> Bool {
        var count: UInt = 0
        while state == .active, count < maxMessagesPerRead, let message = receive() {
            readPending = false
            count += 1
            pipeline.syncOperations.fireChannelRead(message)
        }
        guard count > 0 else { return false }
        if state == .active { pipeline.syncOperations.fireChannelReadComplete() }
        readIfNeeded()
        return true
    }

    // MARK: - Writing

    package func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isOpen else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        do {
            var write = try write(for: data)
            write.promise = promise
            writes.append(write)
        } catch {
            return promise?.fail(error) ?? ()
        }
        if writes.byteCount > waterMark.high { setWritable(false) }
        tellWritability()
    }

    package final func flush0() {
        guard isOpen else { return }
        writes.markFlushed()
        writeFlushed()
    }

    /// Writes what has been flushed, as far as there is room. What is flushed meanwhile is written, too.
    package final func writeFlushed() {
        guard !isWriting, state == .activating || state == .active else { return }
        isWriting = true
        while isOpen, writes.hasFlushed {
            let hadRoom = sendFlushed()
            if isOpen { tellWritability() }
            if !hadRoom { break }
        }
        isWriting = false
        if isOpen, !writes.hasFlushed { wroteFlushed() }
    }

    /// - Returns: whether there was room for everything.
    private func sendFlushed() -> Bool {
        while isOpen, var write = writes.next {
            do {
                try withoutNews { try send(&write, more: writes.hasMoreFlushed) }
                writes.update(write)
                if writes.byteCount < waterMark.low { setWritable(true) }
                guard write.bytes.readableBytes == 0 else { return false }
                writes.removeFirst()
                write.promise?.succeed()
            } catch  where ends(with: error) {
                close0(error: error, mode: .all, promise: nil)
            } catch {
                writes.removeFirst()
                if writes.byteCount < waterMark.low { setWritable(true) }
                write.promise?.fail(error)
            }
        }
        return true
    }

    private func setWritable(_ isWritable: Bool) { shared.withLockedValue { $0.isWritable = isWritable } }

    private func tellWritability() {
        guard isWritable != toldWritable else { return }
        toldWritable.toggle()
        pipeline.syncOperations.fireChannelWritabilityChanged()
    }

    // MARK: - Closing

    package func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen else { return promise?.fail(ChannelError.alreadyClosed) ?? () }
        guard mode == .all else { return promise?.fail(ChannelError.operationUnsupported) ?? () }
        let before = state
        state = .closed
        shared.withLockedValue { $0.isActive = false }
        withoutNews { release(error) }
        writes.failAll(error)
        pendingConnect?.fail(error)
        pendingConnect = nil
        promise?.succeed()
        if before == .active { pipeline.syncOperations.fireChannelInactive() }
        if before != .fresh { pipeline.syncOperations.fireChannelUnregistered() }
        // Handlers may still be in the middle of the event that led here.
        eventLoop.execute { [self] in
            removeHandlers(pipeline: pipeline)
            closePromise.succeed()
            setAddresses(local: nil, remote: nil)
        }
    }

    /// Closes with an error that handlers are told.
    final func fail(_ error: any Error) {
        pipeline.syncOperations.fireErrorCaught(error)
        if isOpen { close0(error: error, mode: .all, promise: nil) }
    }

    // MARK: - The rest of a channel

    package final func localAddress0() throws -> SocketAddress {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    package final func remoteAddress0() throws -> SocketAddress {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    package final func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    package func channelRead0(_ data: NIOAny) {}

    package final func errorCaught0(error: any Error) {}

    // MARK: - Options

    func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        switch (option, value) {
        case (is ChannelOptions.Types.AutoReadOption, let value as Bool):
            let changed = value != autoRead
            autoRead = value
            guard changed, state != .fresh else { return }
            if value { read0() } else { readPending = false }
        case (is ChannelOptions.Types.AllocatorOption, let value as ByteBufferAllocator):
            shared.withLockedValue { $0.allocator = value }
        case (is ChannelOptions.Types.MaxMessagesPerReadOption, let value as UInt):
            maxMessagesPerRead = max(value, 1)
        case (
            is ChannelOptions.Types.WriteBufferWaterMarkOption, let value as ChannelOptions.Types.WriteBufferWaterMark
        ):
            waterMark = value
        // A port is free as soon as nothing listens at it: addresses are always reused.
        case (let option as ChannelOptions.Types.SocketOption, 1 as SocketOptionValue)
        where option == .socketOption(.so_reuseaddr):
            break
        default:
            throw ChannelError.operationUnsupported
        }
    }

    func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: autoRead
            case is ChannelOptions.Types.AllocatorOption: allocator
            case is ChannelOptions.Types.MaxMessagesPerReadOption: maxMessagesPerRead
            case is ChannelOptions.Types.WriteBufferWaterMarkOption: waterMark
            case is ChannelOptions.Types.BufferedWritableBytesOption: writes.byteCount
            case let option as ChannelOptions.Types.SocketOption where option == .socketOption(.so_reuseaddr):
                SocketOptionValue(1)
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }
}
