// Peer ids: their bytes and their texts.

import Crypto
import NIOCore
import NetstackLibP2P
import Testing

struct PeerIDTests {
    /// The Ed25519 key of the specification's test vectors (libp2p/specs, peer-ids, "Test vectors").
    private static let publicKey =
        "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
    private static let privateKey =
        "08011240"
        + "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
        + "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

    @Test func theSpecificationsKeysAreRead() throws {
        let identity = try Identity(parsing: ByteBuffer(bytes: hex(Self.privateKey)))
        #expect(identity.publicKey.serialized == hex(Self.publicKey))
        #expect(Array(identity.serialized().readableBytesView) == hex(Self.privateKey))
        #expect(identity.peerID.bytes == [0, 36] + hex(Self.publicKey))
    }

    /// From the specification (libp2p/specs, peer-ids, "String representation").
    @Test(arguments: [
        "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
    ])
    func textsComeBack(_ text: String) throws {
        let peer = try PeerID(text)
        #expect("\(peer)" == text)
        #expect(try PeerID(peer.cid) == peer)
        #expect(try PeerID(bytes: peer.bytes) == peer)
    }

    @Test(arguments: [
        "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
        "BAFZBEIE5745RPV2M6TJYUUGYWY4D5EWRQGQQHFNF445HE3OMZPJBX5XQXE",
        "f017212209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b9",
        "F017212209DFF3B17D74CF4D38A50D8B6383E92D181A10395A5E73A726DCCCBD21BF6F0B9",
        "k2k4r8ncs1yoluq95unsd7x2vfhgve0ncjoggwqx9vyh3vl8warrcp15",
        "K2K4R8NCS1YOLUQ95UNSD7X2VFHGVE0NCJOGGWQX9VYH3VL8WARRCP15",
        "zdvgqC3jczfCwLUoSyWT8GLc5UZ9aG4RkAg7XAfidRbX9qVj6",
    ])
    func aCIDIsTheSamePeerInWhateverBase(_ text: String) throws {
        #expect(try PeerID(text) == PeerID("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"))
    }

    @Test(arguments: [
        "", "1", "12D3", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5", "Qm0OIl", "bafzbeie", "b", "z",
        "bafybeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", String(repeating: "1", count: 500),
        // Digits of the other case, one too many, or of no base; more than anybody's id has.
        "f017212209DFF3B17D74CF4D38A50D8B6383E92D181A10395A5E73A726DCCCBD21BF6F0B9",
        "f017212209dff3b17d74cf4d38a50d8b6383e92d181a10395a5e73a726dcccbd21bf6f0b90",
        "k2k4r8ncs1yoluq95unsd7x2vfhgve0ncjoggwqx9vyh3vl8warrcp1é", "QAFZBEIE", "f", "F", "k", "K", "B",
        "z" + String(repeating: "z", count: 200), "k" + String(repeating: "z", count: 200),
    ])
    func whatIsNoPeerIDIsAnError(_ text: String) {
        #expect { try PeerID(text) } throws: { error in
            if case .malformed? = error as? LibP2PError { true } else { false }
        }
    }
}

/// The bytes that hexadecimal digits stand for.
func hex(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.utf8.count, by: 2).compactMap { start in
        UInt8(text.dropFirst(start).prefix(2), radix: 16)
    }
}
