// A channel over a UDP socket.

import NIOCore
import Netstack

/// A UDP socket of a stack as a channel of `AddressedEnvelope<ByteBuffer>`s. When it is connected, it also takes plain
/// `ByteBuffer`s, and lets nobody else's datagrams through.
final class DatagramChannel: StackChannel, @unchecked Sendable {
    private var socket: UDPSocketCore?
    private var peer: TransportAddress?
    /// Kept for those who ask: datagrams come whole, in buffers that are there already.
    private var recvAllocator: any RecvByteBufferAllocator = FixedSizeRecvByteBufferAllocator(capacity: 2048)

    // MARK: Opening

    override func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if let whyNotReady { return promise?.fail(whyNotReady) ?? () }
        do {
            guard let local = TransportAddress(address) else { throw SocketAddressError.unsupported }
            try open(local)
        } catch {
            return promise?.fail(error) ?? ()
        }
        becomeActive(promise)
    }

    override func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if let whyNotReady, state != .active { return promise?.fail(whyNotReady) ?? () }
        do {
            guard let peer = TransportAddress(address) else { throw SocketAddressError.unsupported }
            if socket == nil { try open(TransportAddress(.any(peer.address.version), 0)) }
            self.peer = peer
        } catch {
            pendingConnect = promise
            return close0(error: error, mode: .all, promise: nil)
        }
        setAddresses(local: localAddress, remote: address)
        if state == .active { promise?.succeed() } else { becomeActive(promise) }
    }

    private func open(_ local: TransportAddress) throws {
        let socket = try stack.openUDP(port: local.port, at: local.specificAddress)
        socket.changed = { [weak self] in self?.socketChanged() }
        self.socket = socket
        setAddresses(local: local.at(socket.localAddress.port), remote: nil)
    }

    private func socketChanged() {
        if let failure = socket?.ended { return fail(failure) }
        // As with sockets, errors that ICMP brings are for those with one peer: others would not know which it is about.
        if let peer, let error = socket?.takeError(for: peer) { pipeline.syncOperations.fireErrorCaught(error) }
        deliver()
        writeFlushed()
    }

    // MARK: Options

    override func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        if option is ChannelOptions.Types.RecvAllocatorOption, let value = value as? any RecvByteBufferAllocator {
            recvAllocator = value
        } else {
            try super.set(option, value)
        }
    }

    override func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? = option is ChannelOptions.Types.RecvAllocatorOption ? recvAllocator : nil
        return try value as? Option.Value ?? super.get(option)
    }

    // MARK: Reading and writing

    override var canReceive: Bool { socket?.hasDatagrams ?? false }

    override func receive() -> NIOAny? {
        while let datagram = socket?.take() {
            guard peer == nil || peer == datagram.source, let source = try? datagram.source.socketAddress() else {
                continue
            }
            return NIOAny(AddressedEnvelope(remoteAddress: source, data: datagram.payload))
        }
        return nil
    }

    override func write(for message: NIOAny) throws -> PendingWrites.Write {
        if let envelope = tryUnwrapData(message, as: AddressedEnvelope<ByteBuffer>.self) {
            if let remoteAddress, envelope.remoteAddress != remoteAddress {
                throw DatagramChannelError.WriteOnConnectedSocketWithInvalidAddress(
                    envelopeRemoteAddress: envelope.remoteAddress, connectedRemoteAddress: remoteAddress)
            }
            guard let destination = TransportAddress(envelope.remoteAddress) else {
                throw SocketAddressError.unsupported
            }
            return .init(bytes: envelope.data, destination: destination)
        }
        guard let bytes = tryUnwrapData(message, as: ByteBuffer.self) else { throw ChannelError.operationUnsupported }
        guard let peer else { throw DatagramChannelError.WriteOnUnconnectedSocketWithoutAddress() }
        return .init(bytes: bytes, destination: peer)
    }

    override func send(_ write: inout PendingWrites.Write, more: Bool) throws {
        guard let socket, let destination = write.destination, try socket.sendOrWait(write.bytes, to: destination)
        else {
            return
        }
        write.bytes.moveReaderIndex(to: write.bytes.writerIndex)
    }

    override func ends(with error: any Error) -> Bool { socket?.ended != nil }

    override func release(_ error: any Error) {
        socket?.changed = nil
        socket?.end(.closed)
    }
}
