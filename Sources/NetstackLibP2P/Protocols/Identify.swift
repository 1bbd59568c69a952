// The identify protocol: what the host says about itself, and asking others.

import NIOCore
import Netstack

/// Says who the host is, and closes.
private final class IdentifyResponder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let message: ByteBuffer

    init(_ message: ByteBuffer) { self.message = message }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        // Not before: the peer may have closed its side, and then whatever waits would go with the channel.
        context.writeAndFlush(wrapOutboundOut(message)).whenComplete { _ in channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}

extension HostCore {
    static let identifyProtocol = "/ipfs/id/1.0.0"

    func serveIdentify(on channel: any Channel) throws {
        let message = Identification(
            protocols: protocols, listenAddresses: HostAddress.told(listenAddresses),
            observedAddress: channel.parent?.remoteAddress.flatMap(TransportAddress.init).map(Multiaddr.init),
            protocolVersion: "ipfs/0.1.0", agentVersion: agentVersion, publicKey: identity.publicKey.serialized)
        try channel.pipeline.syncOperations.addHandler(IdentifyResponder(message.serialized()))
    }
}

extension LibP2PHost {
    /// Asks a peer about itself.
    ///
    /// - Throws: as `openStream`; `LibP2PError.message` if the answer can't be read or is of another peer,
    ///   `.limitReached` if it is too long, `.timedOut`.
    public func identify(_ address: Multiaddr) async throws -> Identification {
        let limit = core.limits.identifyMessageBytes
        do {
            return try await ask(address, HostCore.identifyProtocol) { stream in
                let identification = try await Identification(parsing: Self.readMessage(from: stream, limit))
                let key = identification.publicKey
                guard key.isEmpty || PeerID(serializedKey: key) == stream.peer else {
                    throw LibP2PError.message(what: "identify", fault: "the key is not the peer's")
                }
                return identification
            }
        } catch let error as LibP2PError {
            if case .limitReached(what: "identifyMessageBytes", _) = error { core.counters.messagesTooLong += 1 }
            throw error
        }
    }

    private static func readMessage(from stream: LibP2PStream, _ limit: Int) async throws -> ByteBuffer {
        var received = ByteBuffer()
        while let bytes = try await stream.read() {
            received.writeImmutableBuffer(bytes)
            var rest = received
            guard let length = try rest.readUnsignedVarint() else { continue }
            guard length <= limit else { throw LibP2PError.limitReached(what: "identifyMessageBytes", limit: limit) }
            if let message = rest.readSlice(length: Int(length)) { return message }
        }
        throw LibP2PError.message(what: "identify", fault: "it ended before its length")
    }
}
