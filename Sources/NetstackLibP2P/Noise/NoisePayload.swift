// What a handshake carries: the proof that the peer's key for this connection is the peer's.

import Crypto
import Foundation
package import NIOCore

/// A peer's identity, signed over the static key of its side of the handshake
/// (https://github.com/libp2p/specs/tree/master/noise).
package struct NoisePayload {
    private static let context = Array("noise-libp2p-static-key:".utf8)

    private enum Field {
        static let identityKey = 1, signature = 2
    }

    /// Made by `identity` for a handshake with `staticKey`.
    package static func sign(
        _ staticKey: NoiseHandshake.PublicKey, with identity: Identity
    ) throws(LibP2PError) -> ByteBuffer {
        guard let signature = try? identity.key.signature(for: context + staticKey.rawRepresentation) else {
            throw .noise(fault: "the handshake can't be signed")
        }
        var message = ProtobufMessage()
        message.append(Field.identityKey, identity.publicKey.serialized)
        message.append(Field.signature, signature)
        return message.serialized()
    }

    /// Who has signed for `staticKey`.
    ///
    /// - Throws: `LibP2PError.noise`, `.message`.
    package static func verify(
        _ payload: ByteBuffer, for staticKey: NoiseHandshake.PublicKey
    ) throws(LibP2PError) -> PeerID {
        let message = try ProtobufMessage(parsing: payload, as: "Noise payload")
        guard let key = message.bytes(Field.identityKey), let signature = message.bytes(Field.signature) else {
            throw .noise(fault: "the peer does not say who it is")
        }
        let publicKey = try PublicKey(parsing: key)
        guard
            publicKey.key.isValidSignature(
                Data(signature.readableBytesView), for: context + staticKey.rawRepresentation)
        else { throw .noise(fault: "the peer's signature is not its own") }
        // As the peer wrote it: its id is the hash of these bytes.
        return PeerID(serializedKey: Array(key.readableBytesView))
    }
}
