// One direction of a secure channel: a key and a counter.

package import Crypto
import Foundation
package import NIOCore

/// The CipherState of the Noise specification (section 5.1), with ChaCha20-Poly1305.
package struct NoiseCipher {
    /// What encryption adds to a message, in bytes.
    package static let tagLength = 16

    private let key: SymmetricKey
    private var counter: UInt64 = 0

    package init(key: SymmetricKey) { self.key = key }

    /// The nonce of the next message: four zero bytes and the counter, little-endian (section 12.3).
    private mutating func nextNonce() throws(LibP2PError) -> ChaChaPoly.Nonce {
        // The last value is reserved (section 5.1).
        guard counter < .max, let nonce = try? ChaChaPoly.Nonce(data: Self.bytes(counter)) else {
            throw .noise(fault: "a key has been used for all messages that it can be")
        }
        counter += 1
        return nonce
    }

    private static func bytes(_ counter: UInt64) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 12)
        for index in 0..<8 { bytes[4 + index] = UInt8(truncatingIfNeeded: counter >> (8 * index)) }
        return bytes
    }

    /// Appends the encryption of `plaintext`, and its tag.
    package mutating func encrypt(
        _ plaintext: ByteBuffer, authenticating data: [UInt8] = [], to output: inout ByteBuffer
    ) throws(LibP2PError) {
        let nonce = try nextNonce()
        do {
            let box = try plaintext.withUnsafeReadableBytes {
                try ChaChaPoly.seal($0, using: key, nonce: nonce, authenticating: data)
            }
            // Without its nonce, which the peer counts itself.
            output.writeBytes(box.combined.dropFirst(12))
        } catch {
            throw .noise(fault: "\(error)")
        }
    }

    /// Appends the decryption of `message`, which ends with its tag.
    package mutating func decrypt(
        _ message: ByteBuffer, authenticating data: [UInt8] = [], to output: inout ByteBuffer
    ) throws(LibP2PError) {
        let length = message.readableBytes - Self.tagLength
        guard length >= 0 else { throw .noise(fault: "a message is shorter than its tag") }
        let nonce = try nextNonce()
        do {
            let box = try message.withUnsafeReadableBytes {
                try ChaChaPoly.SealedBox(nonce: nonce, ciphertext: $0[..<length], tag: $0[length...])
            }
            output.writeBytes(try ChaChaPoly.open(box, using: key, authenticating: data))
        } catch {
            throw .noise(fault: "a message can't be decrypted")
        }
    }
}
