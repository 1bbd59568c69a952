// Every error a stack, its connections, sockets and links can report.

// Indirect: whoever has room for one, as each connection, has a word for it.
/// What went wrong, where, and why.
public indirect enum NetstackError: Error, Hashable, Sendable {
    /// `text` is not a `kind` (address, CIDR block, …); `fault` says what is wrong with it.
    case malformed(kind: String, text: String, fault: String)
    /// The destination answered with a reset: nothing listens there.
    case refused(TransportAddress)
    /// Nobody answered in time.
    case timedOut(TransportAddress)
    /// A router or host on the way reports that it can't deliver.
    case unreachable(TransportAddress, Unreachable)
    /// The far side does not allow this destination.
    case prohibited(TransportAddress)
    /// No route of this stack leads to the address.
    case noRoute(IPAddress)
    /// The address can't be used here; `reason` says why (loopback through a tunnel, not an address of this NIC, …).
    case addressNotAvailable(IPAddress, reason: String)
    /// Another socket or listener has this address and port.
    case addressInUse(TransportAddress)
    /// All ports towards this destination are taken.
    case portsExhausted(TransportAddress)
    /// The peer, or the stack on its behalf, reset the connection.
    case connectionReset
    /// The connection was closed or reset on this side, or its write side was shut down.
    case closed
    /// The link under the connection has ended; `reason` is the link's own error, if it gave one.
    case linkDown(reason: String?)
    /// What came over the link can't be packets.
    case framing(fault: String)
    /// The stack has been shut down.
    case stackShutDown
    /// The MTU is outside of `range`.
    case mtuOutOfRange(Int, range: ClosedRange<Int>)
    /// The datagram is longer than UDP can carry.
    case datagramTooLong(Int, limit: Int)
    /// No NIC of this stack has this number.
    case noSuchNIC(NICID)
    /// A NIC of this stack already has this number.
    case nicExists(NICID)
    /// A bound of the stack has been reached; `what` says of what there are too many: where that is a setting, by its name.
    case limitReached(what: String, limit: Int)
    /// There is no such name.
    case nameNotFound(String)
    /// The name exists, and no address is known for it.
    case nameHasNoAddress(String)
    /// A name server can't tell; `code` is its response code (RFC 6895 section 2.3: 2 says that it failed, 5 that it
    /// refuses), or nil when its answer can't be read.
    case nameServerFailed(String, server: IPAddress, code: Int?)
    /// The stack has no name server to ask.
    case noNameServer
    /// The installed liblwip does not fit the headers this program was built with.
    case incompatibleLibrary(String)
    /// lwIP refused an operation for a reason that should not occur; `code` is its `err_t`.
    case library(operation: String, code: Int)

    /// Why a destination is unreachable (RFC 792, RFC 1122 section 3.2.2.1, RFC 4443 section 3.1).
    public enum Unreachable: String, Hashable, Sendable {
        /// The network, the host, the protocol or the port.
        case network, host, `protocol`, port
        /// A router on the way has found the packet too old.
        case hopLimit = "hop limit exceeded"
    }
}

extension NetstackError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let kind, let text, let fault): "\"\(text)\" is not \(kind): \(fault)"
        case .refused(let address): "connection to \(address) refused"
        case .timedOut(let address): "no answer from \(address) in time"
        case .unreachable(let address, let reason): "\(address) is unreachable: \(reason.rawValue)"
        case .prohibited(let address): "\(address) is administratively prohibited"
        case .noRoute(let address): "no route to \(address)"
        case .addressNotAvailable(let address, let reason): "address \(address) can't be used: \(reason)"
        case .addressInUse(let address): "\(address) is in use"
        case .portsExhausted(let address): "all local ports towards \(address) are in use"
        case .connectionReset: "connection reset by peer"
        case .closed: "connection is closed"
        case .linkDown(let reason): "link is down" + (reason.map { ": \($0)" } ?? "")
        case .framing(let fault): "the byte stream does not hold IP packets: \(fault)"
        case .stackShutDown: "stack has been shut down"
        case .mtuOutOfRange(let mtu, let range):
            "MTU \(mtu) is outside of \(range.lowerBound)…\(range.upperBound)"
        case .datagramTooLong(let length, let limit): "a datagram of \(length) bytes exceeds the limit of \(limit)"
        case .noSuchNIC(let id): "stack has no \(id)"
        case .nicExists(let id): "stack already has \(id)"
        case .limitReached(let what, let limit): "limit of \(limit) \(what) reached"
        case .nameNotFound(let name): "there is no name \(name)"
        case .nameHasNoAddress(let name): "\(name) has no address"
        case .nameServerFailed(let name, let server, let code):
            "name server \(server) can't tell the address of \(name): "
                + (code.map { "response code \($0)" } ?? "its answer can't be read")
        case .noNameServer: "the stack has no name server"
        case .incompatibleLibrary(let why): "installed liblwip does not fit this program: \(why)"
        case .library(let operation, let code): "lwIP refused \(operation) with error \(code)"
        }
    }
}
