// Where a peer is, and who it is.

/// An address that describes itself.
public struct Multiaddr: Hashable, Sendable {
}
