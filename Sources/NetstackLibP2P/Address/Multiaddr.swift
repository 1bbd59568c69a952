// Where a peer is, and who it is, in an address that describes itself.

package import NIOCore
package import Netstack

/// An address such as `/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…` (https://github.com/multiformats/multiaddr).
///
/// It knows `/ip4`, `/ip6`, `/dns4`, `/dns6`, `/tcp` and `/p2p` (also written `/ipfs`). Those of other kinds can't be
/// dialled here, and are errors.
public struct Multiaddr: Hashable, Sendable {
    package enum Component: Hashable, Sendable {
        case ip4(IPv4Address)
        case ip6(IPv6Address)
        case dns4(String)
        case dns6(String)
        case tcp(UInt16)
        case p2p(PeerID)
    }

    package let components: [Component]

    fileprivate static let kind = "multiaddr"

    /// Reads the text of an address.
    ///
    /// - Throws: `LibP2PError.malformed`.
    public init(_ text: String) throws(LibP2PError) {
        var parts = text.split(separator: "/", omittingEmptySubsequences: false)[...]
        func fault(_ fault: String) -> LibP2PError {
            .malformed(kind: Self.kind, text: String(text.prefix(200)), fault: fault)
        }
        guard parts.popFirst() == "" else { throw fault("it does not begin with '/'") }
        // A slash at the end is of no meaning.
        if parts.last == "" { parts.removeLast() }
        var components: [Component] = []
        while let name = parts.popFirst() {
            guard let value = parts.popFirst(), !value.isEmpty else { throw fault("'/\(name)' has no value") }
            guard let component = try Component(String(name), String(value)) else {
                throw fault("'/\(name)/\(value)' is not understood here")
            }
            components.append(component)
        }
        guard !components.isEmpty else { throw fault("it is empty") }
        self.components = components
    }

    /// Reads the binary form, which peers send.
    ///
    /// - Throws: `LibP2PError.malformed`.
    package init(parsing bytes: ByteBuffer) throws(LibP2PError) {
        var rest = bytes
        var components: [Component] = []
        while rest.readableBytes > 0 { components.append(try Component(parsing: &rest)) }
        guard !components.isEmpty else { throw .malformed(kind: Self.kind, text: "", fault: "it is empty") }
        self.components = components
    }

    /// The place of a TCP socket.
    init(_ address: TransportAddress) {
        switch address.address {
        case .v4(let ip): components = [.ip4(ip), .tcp(address.port)]
        case .v6(let ip): components = [.ip6(ip), .tcp(address.port)]
        }
    }

    private init(_ components: [Component]) { self.components = components }

    /// The binary form.
    package func serialized() -> ByteBuffer {
        var bytes = ByteBuffer()
        for component in components { component.write(to: &bytes) }
        return bytes
    }

    /// Who is to be there; nil if the address doesn't say.
    public var peer: PeerID? {
        if case .p2p(let peer)? = components.last { peer } else { nil }
    }

    /// The TCP port.
    public var port: UInt16? {
        for case .tcp(let port) in components.dropFirst() { return port }
        return nil
    }

    /// Whether it is what a TCP socket can be made of: a host, a port, and maybe a peer.
    package var isDiallable: Bool {
        guard components.count == (peer == nil ? 2 : 3), case .tcp = components[1] else { return false }
        switch components[0] {
        case .ip4, .ip6, .dns4, .dns6: return true
        case .tcp, .p2p: return false
        }
    }

    /// The same place, and that peer there.
    public func appending(_ peer: PeerID) -> Multiaddr {
        Multiaddr((self.peer == nil ? components[...] : components.dropLast()) + [.p2p(peer)])
    }
}

extension Multiaddr: CustomStringConvertible {
    public var description: String { components.map(\.description).joined() }
}

extension Multiaddr.Component: CustomStringConvertible {
    package var description: String {
        switch self {
        case .ip4(let address): "/ip4/\(address)"
        case .ip6(let address): "/ip6/\(address)"
        case .dns4(let name): "/dns4/\(name)"
        case .dns6(let name): "/dns6/\(name)"
        case .tcp(let port): "/tcp/\(port)"
        case .p2p(let peer): "/p2p/\(peer)"
        }
    }

    /// Nil if it is not understood.
    fileprivate init?(_ name: String, _ value: String) throws(LibP2PError) {
        switch name {
        case "ip4":
            guard let address = try? IPv4Address(value) else { return nil }
            self = .ip4(address)
        case "ip6":
            guard let address = try? IPv6Address(value) else { return nil }
            self = .ip6(address)
        case "dns4":
            guard Self.isName(value) else { return nil }
            self = .dns4(value)
        case "dns6":
            guard Self.isName(value) else { return nil }
            self = .dns6(value)
        case "tcp":
            guard value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(value) else { return nil }
            self = .tcp(port)
        case "p2p", "ipfs": self = .p2p(try PeerID(value))
        default: return nil
        }
    }

    /// A name is no longer than in DNS (RFC 1035 section 2.3.4).
    private static let nameLength = 1...253

    /// No slash, and nothing that a terminal would not show.
    private static func isName(_ text: String) -> Bool {
        nameLength.contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x2f }
    }

    /// The codes of the multicodec table.
    private enum Code {
        static let ip4: UInt64 = 4, tcp: UInt64 = 6, ip6: UInt64 = 41, dns4: UInt64 = 54, dns6: UInt64 = 55
        static let p2p: UInt64 = 421
    }

    fileprivate init(parsing bytes: inout ByteBuffer) throws(LibP2PError) {
        let cutOff = LibP2PError.malformed(kind: Multiaddr.kind, text: "…", fault: "it ends too early")
        guard let code = try bytes.readUnsignedVarint() else { throw cutOff }
        switch code {
        case Code.ip4:
            guard let value: UInt32 = bytes.readInteger() else { throw cutOff }
            self = .ip4(IPv4Address(rawValue: value))
        case Code.ip6:
            guard let value: UInt128 = bytes.readInteger() else { throw cutOff }
            self = .ip6(IPv6Address(rawValue: value))
        case Code.tcp:
            guard let port: UInt16 = bytes.readInteger() else { throw cutOff }
            self = .tcp(port)
        case Code.dns4, Code.dns6:
            let name = String(buffer: try bytes.readLengthPrefixed(Multiaddr.kind))
            guard Self.isName(name) else {
                throw .malformed(kind: Multiaddr.kind, text: String(name.prefix(80)), fault: "it is no name of a host")
            }
            self = code == Code.dns4 ? .dns4(name) : .dns6(name)
        case Code.p2p:
            let multihash = try bytes.readLengthPrefixed(Multiaddr.kind)
            self = .p2p(try PeerID(bytes: Array(multihash.readableBytesView)))
        default:
            throw .malformed(
                kind: Multiaddr.kind, text: "…", fault: "the protocol with the code \(code) is not understood here")
        }
    }

    fileprivate func write(to bytes: inout ByteBuffer) {
        switch self {
        case .ip4(let address):
            bytes.writeUnsignedVarint(Code.ip4)
            bytes.writeInteger(address.rawValue)
        case .ip6(let address):
            bytes.writeUnsignedVarint(Code.ip6)
            bytes.writeInteger(address.rawValue)
        case .dns4(let name), .dns6(let name):
            if case .dns4 = self { bytes.writeUnsignedVarint(Code.dns4) } else { bytes.writeUnsignedVarint(Code.dns6) }
            bytes.writeLengthPrefixed(ByteBuffer(string: name))
        case .tcp(let port):
            bytes.writeUnsignedVarint(Code.tcp)
            bytes.writeInteger(port)
        case .p2p(let peer):
            bytes.writeUnsignedVarint(Code.p2p)
            bytes.writeLengthPrefixed(ByteBuffer(bytes: peer.bytes))
        }
    }
}
