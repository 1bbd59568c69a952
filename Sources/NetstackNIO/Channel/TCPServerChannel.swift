// A channel over a TCP listener: it reads channels.

import NIOCore
import Netstack

/// A listener of a stack as a channel. What it reads are connections, as channels that begin when they reach its tail.
final class TCPServerChannel: StackChannel, @unchecked Sendable {
    private var listener: TCPListenerCore?
    private var backlog: Int32 = 128

    override var isWritable: Bool { false }

    override func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if let whyNotReady { return promise?.fail(whyNotReady) ?? () }
        do {
            guard let local = TransportAddress(address) else { throw SocketAddressError.unsupported }
            let listener = try stack.listen(port: local.port, at: local.specificAddress, backlog: Int(backlog))
            listener.changed = { [weak self] in self?.listenerChanged() }
            self.listener = listener
            setAddresses(local: local.at(listener.localAddress.port), remote: nil)
        } catch {
            return promise?.fail(error) ?? ()
        }
        becomeActive(promise)
    }

    private func listenerChanged() {
        if let failure = listener?.failure { fail(failure) } else { deliver() }
    }

    override var canReceive: Bool { listener?.hasReady ?? false }

    override func receive() -> NIOAny? { listener?.take().map { NIOAny(TCPChannel($0, parent: self)) } }

    override func channelRead0(_ data: NIOAny) {
        guard let child = tryUnwrapData(data, as: TCPChannel.self) else { return }
        child.activate()
    }

    override func release(_ error: any Error) { listener?.end(nil) }

    override func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        if option is ChannelOptions.Types.BacklogOption, let value = value as? Int32 {
            backlog = value
        } else {
            try super.set(option, value)
        }
    }

    override func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        if option is ChannelOptions.Types.BacklogOption, let value = backlog as? Option.Value { return value }
        return try super.get(option)
    }
}

extension TransportAddress {
    /// The address to bind to: nil for all of them.
    var specificAddress: IPAddress? { address == .any(address.version) ? nil : address }

    /// The same with another port, as SwiftNIO writes it.
    func at(_ port: UInt16) -> SocketAddress? { try? TransportAddress(address, port).socketAddress() }
}
