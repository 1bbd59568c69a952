// Every error that a host, its connections and its streams can report.

/// What went wrong between two peers, and why.
public enum LibP2PError: Error, Hashable, Sendable {
    /// `text` is not a `kind` (multiaddr, peer id, …); `fault` says what is wrong with it.
    case malformed(kind: String, text: String, fault: String)
    /// The identity at `path` can't be used or stored.
    case identity(path: String, fault: String)
    /// Somebody else answered than was dialled.
    case wrongPeer(expected: PeerID, found: PeerID)
    /// The peer is not on the allow list.
    case notAllowed(PeerID)
    /// The peer speaks none of these protocols.
    case unsupportedProtocol([String])
    /// The peer does not keep to multistream-select.
    case negotiation(fault: String)
    /// The Noise handshake failed, or a message after it can't be decrypted.
    case noise(fault: String)
    /// The peer does not keep to Yamux.
    case yamux(fault: String)
    /// The peer ended the connection with this code (Yamux: 0 normal, 1 protocol error, 2 internal error).
    case goAway(code: UInt32)
    /// The stream was reset by the peer.
    case streamReset
    /// A message of the peer, or what a key file holds, can't be read; `what` says which.
    case message(what: String, fault: String)
    /// A limit has been reached; `what` says of what there are too many: where that is a setting, by its name.
    case limitReached(what: String, limit: Int)
    /// This took longer than the setting allows.
    case timedOut(what: String)
    /// None of the address's endpoints could be reached; `reason` is what the last attempt said.
    case unreachable(Multiaddr, reason: String)
    /// The peer ended the connection without a word.
    case disconnected
    /// The connection, stream or host has been closed on this side.
    case closed
}

extension LibP2PError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let kind, let text, let fault): "'\(text)' is not a \(kind): \(fault)"
        case .identity(let path, let fault): "the identity at \(path) can't be used: \(fault)"
        case .wrongPeer(let expected, let found): "dialled peer \(expected), and \(found) answered"
        case .notAllowed(let peer): "peer \(peer) is not on the allow list"
        case .unsupportedProtocol(let names): "the peer does not speak \(names.joined(separator: ", "))"
        case .negotiation(let fault): "protocol negotiation failed: \(fault)"
        case .noise(let fault): "the secure channel failed: \(fault)"
        case .yamux(let fault): "the stream multiplexer failed: \(fault)"
        case .goAway(let code): "the peer ended the connection with code \(code)"
        case .streamReset: "the peer reset the stream"
        case .message(let what, let fault): "the peer's \(what) message can't be used: \(fault)"
        case .limitReached(let what, let limit): "the limit \(what) of \(limit) has been reached"
        case .timedOut(let what): "\(what) took too long"
        case .unreachable(let address, let reason): "\(address) can't be reached: \(reason)"
        case .disconnected: "the peer ended the connection without a word"
        case .closed: "closed on this side"
        }
    }
}
