// Who a peer is: the multihash of its public key.

/// The name of a peer.
public struct PeerID: Hashable, Sendable {
    /// The multihash.
    package let bytes: [UInt8]

    package init(uncheckedBytes bytes: [UInt8]) { self.bytes = bytes }
}
