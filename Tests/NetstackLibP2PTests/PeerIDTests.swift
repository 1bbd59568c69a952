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

    @Test func aCIDIsTheSamePeer() throws {
        #expect(
            try PeerID("bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe")
                == PeerID("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"))
    }

    @Test(arguments: [
        "", "1", "12D3", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5", "Qm0OIl", "bafzbeie", "b", "z",
        "bafybeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", String(repeating: "1", count: 500),
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
