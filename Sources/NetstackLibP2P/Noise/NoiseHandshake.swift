// The handshake of the secure channel: Noise_XX_25519_ChaChaPoly_SHA256.

package import Crypto
import Foundation
package import NIOCore

/// One side of a handshake, without any I/O. Three messages, in turns, the initiator first:
/// `e` · `e, ee, s, es` · `s, se` (Noise specification, section 7.5).
package struct NoiseHandshake {
    package enum Role { case initiator, responder }
    package typealias PrivateKey = Curve25519.KeyAgreement.PrivateKey
    package typealias PublicKey = Curve25519.KeyAgreement.PublicKey

    private static let name = "Noise_XX_25519_ChaChaPoly_SHA256"
    private static let keyLength = 32

    private let role: Role
    private let staticKey: PrivateKey
    private let ephemeralKey: PrivateKey
    private var peerEphemeralKey: PublicKey?
    /// The peer's static key, once its message with it has been read.
    package private(set) var peerStaticKey: PublicKey?
    /// Messages written and read so far.
    private var messages = 0

    // The SymmetricState (section 5.2).
    private var chainingKey: [UInt8]
    private var hash: [UInt8]
    private var cipher: NoiseCipher?

    /// The keys are given for tests only.
    package init(
        _ role: Role, prologue: [UInt8] = [], staticKey: PrivateKey = PrivateKey(),
        ephemeralKey: PrivateKey = PrivateKey()
    ) {
        self.role = role
        self.staticKey = staticKey
        self.ephemeralKey = ephemeralKey
        // The name is as long as a hash, and stands for its own.
        hash = Array(Self.name.utf8)
        chainingKey = hash
        mix(hash: prologue)
    }

    package var isComplete: Bool { messages == 3 }

    /// Whether the next message is this side's.
    package var writes: Bool { !isComplete && (messages % 2 == 0) == (role == .initiator) }

    /// This side's static key, which the payload signs.
    package var publicKey: PublicKey { staticKey.publicKey }

    /// Makes the next message. The payload of the first goes in the clear.
    package mutating func write(_ payload: ByteBuffer) throws(LibP2PError) -> ByteBuffer {
        guard writes else { throw .noise(fault: "it is the peer's turn") }
        var message = ByteBuffer()
        switch messages {
        case 0:
            writeEphemeralKey(to: &message)
        case 1:
            writeEphemeralKey(to: &message)
            try mixAgreement(ephemeralKey, peerEphemeralKey)
            try writeStaticKey(to: &message)
            try mixAgreement(staticKey, peerEphemeralKey)
        default:
            try writeStaticKey(to: &message)
            try mixAgreement(staticKey, peerEphemeralKey)
        }
        try encryptAndHash(payload, to: &message)
        messages += 1
        return message
    }

    /// Reads the peer's next message, and returns its payload.
    package mutating func read(_ message: ByteBuffer) throws(LibP2PError) -> ByteBuffer {
        guard !writes, !isComplete else { throw .noise(fault: "it is not the peer's turn") }
        var message = message
        switch messages {
        case 0:
            try readEphemeralKey(from: &message)
        case 1:
            try readEphemeralKey(from: &message)
            try mixAgreement(ephemeralKey, peerEphemeralKey)
            try readStaticKey(from: &message)
            try mixAgreement(ephemeralKey, peerStaticKey)
        default:
            try readStaticKey(from: &message)
            try mixAgreement(ephemeralKey, peerStaticKey)
        }
        var payload = ByteBuffer()
        try decryptAndHash(message, to: &payload)
        messages += 1
        return payload
    }

    /// The keys of both directions, once the handshake is complete (section 5.2, Split).
    package func split() -> (sending: NoiseCipher, receiving: NoiseCipher) {
        let keys = derive([])
        let first = NoiseCipher(key: SymmetricKey(data: keys.0))
        let second = NoiseCipher(key: SymmetricKey(data: keys.1))
        return role == .initiator ? (first, second) : (second, first)
    }

    // MARK: Tokens

    private mutating func writeEphemeralKey(to message: inout ByteBuffer) {
        let key = Array(ephemeralKey.publicKey.rawRepresentation)
        message.writeBytes(key)
        mix(hash: key)
    }

    private mutating func readEphemeralKey(from message: inout ByteBuffer) throws(LibP2PError) {
        guard let bytes = message.readBytes(length: Self.keyLength) else {
            throw .noise(fault: "a handshake message is too short")
        }
        peerEphemeralKey = try Self.key(bytes)
        mix(hash: bytes)
    }

    private mutating func writeStaticKey(to message: inout ByteBuffer) throws(LibP2PError) {
        try encryptAndHash(ByteBuffer(bytes: publicKey.rawRepresentation), to: &message)
    }

    private mutating func readStaticKey(from message: inout ByteBuffer) throws(LibP2PError) {
        guard let encrypted = message.readSlice(length: Self.keyLength + NoiseCipher.tagLength) else {
            throw .noise(fault: "a handshake message is too short")
        }
        var bytes = ByteBuffer()
        try decryptAndHash(encrypted, to: &bytes)
        peerStaticKey = try Self.key(Array(bytes.readableBytesView))
    }

    private static func key(_ bytes: [UInt8]) throws(LibP2PError) -> PublicKey {
        do { return try PublicKey(rawRepresentation: bytes) } catch {
            throw .noise(fault: "a key is not one: \(error)")
        }
    }

    /// Fails where the peer's key makes the secret zero, which no honest one does (RFC 7748 section 6.1).
    private mutating func mixAgreement(_ own: PrivateKey, _ peer: PublicKey?) throws(LibP2PError) {
        guard let peer, let secret = try? own.sharedSecretFromKeyAgreement(with: peer).withUnsafeBytes({ Array($0) }),
            secret.reduce(0, |) != 0
        else { throw .noise(fault: "the peer's key agrees on no secret") }
        let keys = derive(secret)
        chainingKey = keys.0
        cipher = NoiseCipher(key: SymmetricKey(data: keys.1))
    }

    // MARK: SymmetricState

    private mutating func mix(hash data: some Sequence<UInt8>) { hash = Array(SHA256.hash(data: hash + data)) }

    /// HKDF with two outputs (section 4.3).
    private func derive(_ secret: [UInt8]) -> ([UInt8], [UInt8]) {
        func authenticate(_ data: [UInt8], _ key: some ContiguousBytes) -> [UInt8] {
            Array(HMAC<SHA256>.authenticationCode(for: data, using: SymmetricKey(data: key)))
        }
        let temporary = authenticate(secret, chainingKey)
        let first = authenticate([1], temporary)
        return (first, authenticate(first + [2], temporary))
    }

    private mutating func encryptAndHash(
        _ plaintext: ByteBuffer, to message: inout ByteBuffer
    ) throws(LibP2PError) {
        let start = message.writerIndex
        if cipher == nil {
            message.writeImmutableBuffer(plaintext)
        } else {
            try cipher?.encrypt(plaintext, authenticating: hash, to: &message)
        }
        mix(hash: message.readableBytesView[start...])
    }

    private mutating func decryptAndHash(
        _ encrypted: ByteBuffer, to output: inout ByteBuffer
    ) throws(LibP2PError) {
        if cipher == nil {
            output.writeImmutableBuffer(encrypted)
        } else {
            try cipher?.decrypt(encrypted, authenticating: hash, to: &output)
        }
        mix(hash: encrypted.readableBytesView)
    }
}
