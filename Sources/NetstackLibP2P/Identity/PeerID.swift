// Who a peer is: the multihash of its public key.

import Crypto
import NIOCore

/// The name of a peer, made from its public key: whoever has the key can prove to be the peer.
///
/// It is written as `12D3KooW…`; the form of a CID is read as well (`bafz…`, `k51q…`, and others), in base 16, 32, 36 or 58.
public struct PeerID: Hashable, Sendable {
    /// The multihash.
    package let bytes: [UInt8]

    /// Keys of up to that many bytes are their own hash
    /// (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md).
    private static let inlineLimit = 42
    private static let identity: UInt8 = 0x00
    private static let sha256: UInt8 = 0x12
    /// CIDv1 with the codec libp2p-key.
    private static let cid: [UInt8] = [0x01, 0x72]

    /// Reads a peer id.
    ///
    /// - Throws: `LibP2PError.malformed`.
    public init(_ text: String) throws(LibP2PError) {
        let decoded: [UInt8]?
        if text.hasPrefix("1") || text.hasPrefix("Qm") {
            decoded = Base58.decode(text)
        } else {
            decoded = Multibase.decode(text).flatMap { bytes in
                bytes.starts(with: Self.cid) ? Array(bytes.dropFirst(Self.cid.count)) : nil
            }
        }
        guard let decoded else {
            throw .malformed(
                kind: "peer id", text: String(text.prefix(80)), fault: "it is neither base58 nor a CID of a key")
        }
        try self.init(bytes: decoded, text: text)
    }

    /// Reads a multihash.
    ///
    /// - Throws: `LibP2PError.malformed`.
    package init(bytes: [UInt8]) throws(LibP2PError) {
        try self.init(bytes: bytes, text: Base58.encode(Array(bytes.prefix(64))))
    }

    private init(bytes: [UInt8], text: String) throws(LibP2PError) {
        // Both lengths fit into a varint of one byte.
        guard bytes.count >= 2, Int(bytes[1]) == bytes.count - 2,
            bytes[0] == Self.sha256 && bytes[1] == 32 || bytes[0] == Self.identity && bytes[1] <= Self.inlineLimit
        else {
            throw .malformed(kind: "peer id", text: String(text.prefix(80)), fault: "it is not the hash of a key")
        }
        self.bytes = bytes
    }

    /// The id of whoever has this key.
    init(_ key: PublicKey) { self.init(serializedKey: key.serialized) }

    /// The id of whoever has this key, of whatever kind.
    package init(serializedKey: [UInt8]) {
        if serializedKey.count <= Self.inlineLimit {
            bytes = [Self.identity, UInt8(serializedKey.count)] + serializedKey
        } else {
            bytes = [Self.sha256, 32] + SHA256.hash(data: serializedKey)
        }
    }

    /// The id as a CID, in base32.
    package var cid: String { "b" + Base32.encode(Self.cid + bytes) }
}

extension PeerID: CustomStringConvertible {
    public var description: String { Base58.encode(bytes) }
}
