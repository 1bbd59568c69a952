// A channel over a TCP connection: one that is to be opened, or one that a listener has accepted.

package import NIOCore
package import Netstack

/// A connection of a stack as a channel of `ByteBuffer`s.
package final class TCPChannel: StreamChannel, @unchecked Sendable {
    private let nic: NICID?
    private let stack: StackCore
    private(set) var block: TCPControlBlock?
    private var source: TransportAddress?
    private var connectTimer: Scheduled<Void>?
    private var connectTimeout: TimeAmount?
    var socketOptions = TCPSocketOptions()

    /// Makes a channel to connect.
    init(_ stack: StackCore, nic: NICID?) {
        self.nic = nic
        self.stack = stack
        super.init(nil, on: stack.eventLoop)
    }

    /// Takes over an open connection.
    package init(_ block: TCPControlBlock, parent: (any Channel)? = nil) {
        self.block = block
        nic = nil
        stack = block.stack
        socketOptions = TCPSocketOptions(of: block)
        super.init(block, on: block.stack.eventLoop, parent: parent)
        setAddresses(of: block)
    }

    override func withoutNews(_ body: () throws -> Void) rethrows { try stack.withoutNews(body) }

    override func listen() { block?.delegate = self }

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
            transport = block
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

    // MARK: Closing

    override var resetsOnClose: Bool {
        super.resetsOnClose || pendingConnect != nil || socketOptions.resetsOnClose
    }

    override func release(_ error: any Error) {
        connectTimer?.cancel()
        block?.delegate = nil
        super.release(error)
    }

    // MARK: Options

    override func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        switch (option, value) {
        case (is ChannelOptions.Types.ConnectTimeoutOption, let value as TimeAmount?):
            connectTimeout = value
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
            case is ChannelOptions.Types.ConnectTimeoutOption: connectTimeout
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

extension TCPControlBlock: StreamTransport {
    package var streamFailure: (any Error)? { failure }
}
