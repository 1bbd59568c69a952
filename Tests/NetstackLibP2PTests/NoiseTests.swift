// Noise: the handshake against published vectors, the payload's proof, and what a handshake must not accept.

import Crypto
import Foundation
import NIOCore
import NetstackLibP2P
import Testing

struct NoiseTests {
    private typealias PrivateKey = NoiseHandshake.PrivateKey

    private func key(_ text: String) throws -> NoiseHandshake.PrivateKey {
        try PrivateKey(rawRepresentation: hex(text))
    }

    /// The test vectors of cacophony for Noise_XX_25519_ChaChaPoly_SHA256: payloads and messages in turns, the initiator's
    /// first; after the third, of the transport.
    @Test func theHandshakeIsThatOfThePublishedVectors() throws {
        let vector = NoiseVector.cacophony
        var sides = try [
            NoiseHandshake(
                .initiator, prologue: hex(vector.prologue), staticKey: key(vector.initiatorStatic),
                ephemeralKey: key(vector.initiatorEphemeral)),
            NoiseHandshake(
                .responder, prologue: hex(vector.prologue), staticKey: key(vector.responderStatic),
                ephemeralKey: key(vector.responderEphemeral)),
        ]
        for (index, (payload, message)) in vector.messages.prefix(3).enumerated() {
            let (writer, reader) = (index % 2, 1 - index % 2)
            let written = try sides[writer].write(ByteBuffer(bytes: hex(payload)))
            #expect(Array(written.readableBytesView) == hex(message), "message \(index)")
            #expect(try Array(sides[reader].read(written).readableBytesView) == hex(payload))
        }
        #expect(sides[0].isComplete && sides[1].isComplete)
        var ciphers = [sides[0].split(), sides[1].split()]
        for (index, (payload, message)) in vector.messages.enumerated().dropFirst(3) {
            let (writer, reader) = (index % 2, 1 - index % 2)
            var (written, read) = (ByteBuffer(), ByteBuffer())
            try ciphers[writer].sending.encrypt(ByteBuffer(bytes: hex(payload)), to: &written)
            #expect(Array(written.readableBytesView) == hex(message), "message \(index)")
            try ciphers[reader].receiving.decrypt(written, to: &read)
            #expect(Array(read.readableBytesView) == hex(payload))
        }
    }

    private func complete() throws -> (NoiseHandshake, NoiseHandshake) {
        var (near, far) = (NoiseHandshake(.initiator), NoiseHandshake(.responder))
        _ = try far.read(near.write(ByteBuffer()))
        _ = try near.read(far.write(ByteBuffer()))
        _ = try far.read(near.write(ByteBuffer()))
        return (near, far)
    }

    private func fails(_ body: () throws -> Void) {
        #expect {
            try body()
        } throws: { error in
            switch error as? LibP2PError {
            case .noise, .message: true
            default: false
            }
        }
    }

    @Test func eachMessageCutOffOrChangedIsAnError() throws {
        for number in 0..<3 {
            for spoil in 0..<3 {
                var sides = [NoiseHandshake(.initiator), NoiseHandshake(.responder)]
                for index in 0..<number {
                    let message = try sides[index % 2].write(ByteBuffer(string: "payload"))
                    _ = try sides[1 - index % 2].read(message)
                }
                var message = try sides[number % 2].write(ByteBuffer(string: "payload"))
                switch spoil {
                case 0: message = message.getSlice(at: message.readerIndex, length: 31) ?? ByteBuffer()
                case 1: message = ByteBuffer()
                // A first message is in the clear: what is changed in it shows in the next.
                case 2 where number == 0: continue
                default:
                    let last = message.writerIndex - 1
                    message.setInteger(message.getInteger(at: last, as: UInt8.self).map { $0 ^ 1 } ?? 0, at: last)
                }
                fails { _ = try sides[1 - number % 2].read(message) }
            }
        }
    }

    @Test func aKeyThatAgreesOnNothingIsAnError() throws {
        // The point of order one: every agreement with it is zero (RFC 7748 section 6.1).
        var far = NoiseHandshake(.responder)
        _ = try far.read(ByteBuffer(repeating: 0, count: 32))
        fails { _ = try far.write(ByteBuffer()) }
    }

    @Test func messagesOutOfTurnAreErrors() throws {
        var near = NoiseHandshake(.initiator)
        fails { _ = try near.read(ByteBuffer(repeating: 1, count: 96)) }
        _ = try near.write(ByteBuffer())
        fails { _ = try near.write(ByteBuffer()) }
    }

    @Test func messagesComeOnceAndInOrder() throws {
        let (near, far) = try complete()
        var (sending, receiving) = (near.split().sending, far.split().receiving)
        var (first, second, plaintext) = (ByteBuffer(), ByteBuffer(), ByteBuffer())
        try sending.encrypt(ByteBuffer(string: "one"), to: &first)
        try sending.encrypt(ByteBuffer(string: "two"), to: &second)
        var early = receiving
        fails { try early.decrypt(second, to: &plaintext) }
        try receiving.decrypt(first, to: &plaintext)
        fails { try receiving.decrypt(first, to: &plaintext) }
        #expect(plaintext == ByteBuffer(string: "one"))
    }

    // MARK: Who it is

    @Test func whoHasSignedIsThePeer() throws {
        let (identity, staticKey) = (Identity(), PrivateKey().publicKey)
        let payload = try NoisePayload.sign(staticKey, with: identity)
        #expect(try NoisePayload.verify(payload, for: staticKey) == identity.peerID)
    }

    @Test func aSignatureForAnotherKeyIsAnError() throws {
        let payload = try NoisePayload.sign(PrivateKey().publicKey, with: Identity())
        fails { _ = try NoisePayload.verify(payload, for: PrivateKey().publicKey) }
    }

    @Test func anIdentityThatHasNotSignedIsAnError() throws {
        let staticKey = PrivateKey().publicKey
        let signed = try ProtobufMessage(
            parsing: NoisePayload.sign(staticKey, with: Identity()), as: "payload")
        var forged = ProtobufMessage()
        forged.append(1, Identity().publicKey.serialized)
        forged.append(2, Array(try #require(signed.bytes(2)).readableBytesView))
        fails { _ = try NoisePayload.verify(forged.serialized(), for: staticKey) }
    }

    @Test(
        arguments: [[], [0x0a], [0x0a, 0x05, 0x01], [0xff, 0xff], [0x0a, 0x02, 0x08, 0x00, 0x12, 0x01, 0x00]]
            as [[UInt8]])
    func whatIsNoProofIsAnError(_ payload: [UInt8]) {
        fails { _ = try NoisePayload.verify(ByteBuffer(bytes: payload), for: PrivateKey().publicKey) }
    }

    @Test func aKeyOfAnotherKindSaysWhichItIs() throws {
        var key = ProtobufMessage()
        key.append(1, 2)
        key.append(2, Array(repeating: 1, count: 33))
        var payload = ProtobufMessage()
        payload.append(1, Array(key.serialized().readableBytesView))
        payload.append(2, Array(repeating: 0, count: 64))
        #expect {
            _ = try NoisePayload.verify(payload.serialized(), for: PrivateKey().publicKey)
        } throws: { error in "\(error)".contains("secp256k1") }
    }
}
