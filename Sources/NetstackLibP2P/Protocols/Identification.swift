// What a peer says about itself: the identify protocol's message.

package import NIOCore

/// What a peer says about itself (`/ipfs/id/1.0.0`). Only the key is proven, by the connection; all else may be untrue.
public struct Identification: Hashable, Sendable {
    /// The protocols that it answers.
    public var protocols: [String]
    /// Where it says that it listens. Addresses of kinds that are not known here are left out.
    public var listenAddresses: [Multiaddr]
    /// Where it sees the connection come from.
    public var observedAddress: Multiaddr?
    /// The family of protocols that it belongs to.
    public var protocolVersion: String
    /// Its software.
    public var agentVersion: String
    /// The serialised public key.
    package var publicKey: [UInt8]

    private enum Field {
        static let publicKey = 1, listenAddresses = 2, protocols = 3, observedAddress = 4, protocolVersion = 5
        static let agentVersion = 6
    }

    package init(
        protocols: [String] = [], listenAddresses: [Multiaddr] = [], observedAddress: Multiaddr? = nil,
        protocolVersion: String = "", agentVersion: String = "", publicKey: [UInt8] = []
    ) {
        self.protocols = protocols
        self.listenAddresses = listenAddresses
        self.observedAddress = observedAddress
        self.protocolVersion = protocolVersion
        self.agentVersion = agentVersion
        self.publicKey = publicKey
    }

    /// - Throws: `LibP2PError.message`.
    package init(parsing bytes: ByteBuffer) throws(LibP2PError) {
        let message = try ProtobufMessage(parsing: bytes, as: "identify")
        func text(_ field: Int) -> String { message.bytes(field).map { String(buffer: $0) } ?? "" }
        protocols = message.all(Field.protocols).map { String(buffer: $0) }
        listenAddresses = message.all(Field.listenAddresses).compactMap { try? Multiaddr(parsing: $0) }
        observedAddress = message.bytes(Field.observedAddress).flatMap { try? Multiaddr(parsing: $0) }
        protocolVersion = text(Field.protocolVersion)
        agentVersion = text(Field.agentVersion)
        publicKey = message.bytes(Field.publicKey).map { Array($0.readableBytesView) } ?? []
    }

    /// The message, with its length before it.
    package func serialized() -> ByteBuffer {
        var message = ProtobufMessage()
        message.append(Field.publicKey, publicKey)
        for address in listenAddresses { message.append(Field.listenAddresses, address.serialized().readableBytesView) }
        for name in protocols { message.append(Field.protocols, name) }
        if let observedAddress {
            message.append(Field.observedAddress, observedAddress.serialized().readableBytesView)
        }
        message.append(Field.protocolVersion, protocolVersion)
        message.append(Field.agentVersion, agentVersion)
        var bytes = ByteBuffer()
        bytes.writeLengthPrefixed(message.serialized())
        return bytes
    }
}
