// A channel over a TCP connection: one that is to be opened, or one that a listener has accepted.

package import NIOCore
package import Netstack

/// A connection of a stack as a channel of `ByteBuffer`s.
package final class TCPChannel: StackChannel, @unchecked Sendable {
    private let nic: NICID?
    private(set) var block: TCPControlBlock?
    private var source: TransportAddress?
    private var connectTimer: Scheduled<Void>?
    private var inputClosed = false
    private var outputClosed = false
    /// Whether the output is to be closed after the writes that wait.
    private var closesOutput = false
    private var outputClosePromise: EventLoopPromise<Void>?

    private var connectTimeout: TimeAmount?
    private var allowRemoteHalfClosure = false
    /// The most bytes of a read: by default what there is.
    private var recvAllocator: any RecvByteBufferAllocator = FixedSizeRecvByteBufferAllocator(capacity: .max)
    var socketOptions = TCPSocketOptions()

    /// Makes a channel to connect.
    init(_ stack: StackCore, nic: NICID?) {
        self.nic = nic
        super.init(stack)
    }

    /// Takes over an open connection.
    package init(_ block: TCPControlBlock, parent: (any Channel)? = nil) {
        self.block = block
        nic = nil
        socketOptions = TCPSocketOptions(of: block)
        super.init(block.stack, parent: parent)
        setAddresses(of: block)
    }

    private func setAddresses(of block: TCPControlBlock) {
        setAddresses(local: try? block.local.socketAddress(), remote: try? block.remote.socketAddress())
    }

    // MARK: Opening

    package override func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        guard state == .fresh || state == .registered, pendingConnect == nil else {
            return promise?.fail(whyNotReady ?? .inappropriateOperationForState) ?? ()
        }
        guard let source = TransportAddress(address) else {
            return promise?.fail(SocketAddressError.unsupported) ?? ()
        }
        self.source = source
        promise?.succeed()
    }

    package override func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if let whyNotReady { return promise?.fail(whyNotReady) ?? () }
        pendingConnect = promise ?? eventLoop.makePromise()
        do {
            guard let remote = TransportAddress(address) else { throw SocketAddressError.unsupported }
            let block = try stack.withoutNews {
                try stack.connect(to: remote, from: source, nic: nic) { [weak self] in self?.connected($0) }
            }
            self.block = block
            stack.withoutNews { socketOptions.apply(to: block) }
            setAddresses(local: try? block.local.socketAddress(), remote: nil)
            connectTimer = connectTimeout.map { timeout in
                eventLoop.scheduleTask(in: timeout) {
                    self.close0(error: NetstackError.timedOut(remote), mode: .all, promise: nil)
                }
            }
        } catch {
            close0(error: error, mode: .all, promise: nil)
        }
    }

    private func connected(_ result: Result<TCPControlBlock, NetstackError>) {
        guard isOpen, let promise = pendingConnect else { return }
        connectTimer?.cancel()
        switch result {
        case .success(let block):
            pendingConnect = nil
            setAddresses(of: block)
            block.delegate = self
            becomeActive(promise)
        case .failure(let error):
            close0(error: error, mode: .all, promise: nil)
        }
    }

    /// Begins with the connection that has been taken over.
    package func activate() { registerAlreadyConfigured0(promise: nil) }

    package override func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        guard let block, state == .fresh else {
            return promise?.fail(ChannelError.inappropriateOperationForState) ?? ()
        }
        register0(promise: nil)
        guard isOpen else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        block.delegate = self
        becomeActive(promise)
    }

    // MARK: Reading

    package override func read0() { if !inputClosed { super.read0() } }

    override var canReceive: Bool { block?.canRead ?? false }

    override var isEnding: Bool {
        guard let block, !inputClosed else { return false }
        return block.peerFinished || block.failure != nil
    }

    override func receive() -> NIOAny? {
        guard let block, !inputClosed else { return nil }
        let limit = recvAllocator.nextBufferSize() ?? .max
        guard let bytes = stack.withoutNews({ block.read(upTo: max(limit, 1)) }) else { return nil }
        _ = recvAllocator.record(actualReadBytes: bytes.readableBytes)
        return NIOAny(bytes)
    }

    override func received() {
        guard let block else { return }
        if block.isFinished, !inputClosed {
            pipeline.syncOperations.fireChannelReadComplete()
            close0(error: ChannelError.eof, mode: allowRemoteHalfClosure ? .input : .all, promise: nil)
        }
        if let failure = block.failure, isOpen { fail(failure) }
    }

    // MARK: Writing

    override func write(for message: NIOAny) throws -> PendingWrites.Write {
        guard !outputClosed else { throw ChannelError.outputClosed }
        guard let bytes = tryUnwrapData(message, as: ByteBuffer.self) else { throw ChannelError.operationUnsupported }
        return .init(bytes: bytes)
    }

    override func send(_ write: inout PendingWrites.Write, more: Bool) throws {
        // One that has failed says so by itself, after what it has received.
        guard let block, block.failure == nil else { return }
        try block.write(&write.bytes, more: more)
    }

    override func wroteFlushed() {
        guard closesOutput, writes.isEmpty else { return }
        closesOutput = false
        outputClosed = true
        stack.withoutNews { block?.closeWrite() }
        let promise = outputClosePromise
        outputClosePromise = nil
        promise?.succeed()
        pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        if inputClosed { super.close0(error: ChannelError.outputClosed, mode: .all, promise: nil) }
    }

    // MARK: Closing

    package override func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
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
            pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            // As with sockets: an input that may not be closed alone takes the channel with it.
            guard !allowRemoteHalfClosure else { return }
            eventLoop.execute {
                if self.isOpen { self.close0(error: ChannelError.eof, mode: .all, promise: nil) }
            }
        }
    }

    override func release(_ error: any Error) {
        connectTimer?.cancel()
        block?.delegate = nil
        if pendingConnect != nil || socketOptions.resetsOnClose { block?.reset() } else { block?.close() }
        outputClosePromise?.fail(error)
    }

    // MARK: Options

    override func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        switch (option, value) {
        case (is ChannelOptions.Types.AllowRemoteHalfClosureOption, let value as Bool):
            allowRemoteHalfClosure = value
        case (is ChannelOptions.Types.ConnectTimeoutOption, let value as TimeAmount?):
            connectTimeout = value
        case (is ChannelOptions.Types.RecvAllocatorOption, let value as any RecvByteBufferAllocator):
            recvAllocator = value
        case (let option as ChannelOptions.Types.SocketOption, let value as SocketOptionValue)
        where socketOptions.set(option, value):
            if let block { stack.withoutNews { socketOptions.apply(to: block) } }
        default:
            try super.set(option, value)
        }
    }

    override func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: allowRemoteHalfClosure
            case is ChannelOptions.Types.ConnectTimeoutOption: connectTimeout
            case is ChannelOptions.Types.RecvAllocatorOption: recvAllocator
            case let option as ChannelOptions.Types.SocketOption: socketOptions.get(option)
            default: nil
            }
        return try value as? Option.Value ?? super.get(option)
    }
}

// MARK: - News of the connection

extension TCPChannel: TCPControlBlockDelegate {
    package func controlBlockCanRead(_ block: TCPControlBlock) { deliver() }

    package func controlBlockCanWrite(_ block: TCPControlBlock) { writeFlushed() }

    package func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) { deliver() }
}
