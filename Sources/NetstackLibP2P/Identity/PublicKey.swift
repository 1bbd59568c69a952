// The public keys of peers, as they send them.

package import Crypto
package import NIOCore

/// An Ed25519 key in the envelope that libp2p puts keys into: its kind, and its bytes.
package struct PublicKey {
    package let key: Curve25519.Signing.PublicKey

    static let ed25519: UInt64 = 1
    private static let kinds: [UInt64: String] = [0: "RSA", 2: "secp256k1", 3: "ECDSA"]

    package init(_ key: Curve25519.Signing.PublicKey) { self.key = key }

    /// - Throws: `LibP2PError.message`.
    package init(parsing bytes: ByteBuffer) throws(LibP2PError) {
        let message = try ProtobufMessage(parsing: bytes, as: "public key")
        guard let kind = message.varint(1), let data = message.bytes(2) else {
            throw .message(what: "public key", fault: "it has no kind or no bytes")
        }
        guard kind == Self.ed25519 else {
            throw .message(
                what: "public key", fault: "it is of the kind \(Self.kinds[kind] ?? "\(kind)"), not Ed25519")
        }
        do {
            key = try Curve25519.Signing.PublicKey(rawRepresentation: Array(data.readableBytesView))
        } catch {
            throw .message(what: "public key", fault: "an Ed25519 key has 32 bytes, this one \(data.readableBytes)")
        }
    }

    package var serialized: [UInt8] {
        var message = ProtobufMessage()
        message.append(1, Self.ed25519)
        message.append(2, key.rawRepresentation)
        return Array(message.serialized().readableBytesView)
    }
}
