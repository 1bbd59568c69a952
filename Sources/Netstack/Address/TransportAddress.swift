// An IP address with a port.

public import NIOCore

/// An IP address and a port: where a TCP connection or a UDP datagram comes from or goes to.
public struct TransportAddress: Hashable, Sendable {
    public var address: IPAddress
    public var port: UInt16

    public init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Parses `10.0.0.1:80` or `[fd00::1]:80`.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(Array(text.utf8))
        } catch {
            throw .malformed(kind: "an address with a port", text, fault: error)
        }
    }

    private static func parse(_ text: [UInt8]) throws(TextFault) -> TransportAddress {
        guard let colon = text.lastIndex(of: UInt8(ascii: ":")) else { throw TextFault("the port is missing") }
        var host = text[..<colon]
        if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]"), host.count >= 2 {
            host = host.dropFirst().dropLast()
            guard host.contains(UInt8(ascii: ":")) else { throw TextFault("only IPv6 addresses stand in brackets") }
        } else if host.contains(UInt8(ascii: ":")) {
            throw TextFault("an IPv6 address with a port needs brackets, as in [::1]:80")
        }
        let port = try TextFault.decimal(text[(colon + 1)...], limit: 65535, "the port")
        return TransportAddress(try IPAddress.parse(Array(host)), UInt16(port))
    }

    /// The IP address of a socket; nil for a Unix-domain socket's.
    public init?(_ socketAddress: SocketAddress) {
        guard let port = socketAddress.port.flatMap(UInt16.init(exactly:)), let text = socketAddress.ipAddress,
            let address = try? IPAddress(text.prefix { $0 != "%" })
        else { return nil }
        self.init(address, port)
    }

    /// The same as SwiftNIO writes it.
    ///
    /// - Throws: never in practice; SwiftNIO's initialiser is declared to.
    public func socketAddress() throws -> SocketAddress {
        var bytes = ByteBuffer()
        switch address {
        case .v4(let address): bytes.writeInteger(address.rawValue)
        case .v6(let address): bytes.writeInteger(address.rawValue)
        }
        return try SocketAddress(packedIPAddress: bytes, port: Int(port))
    }
}

extension TransportAddress: Comparable, CustomStringConvertible {
    public static func < (a: TransportAddress, b: TransportAddress) -> Bool {
        (a.address, a.port) < (b.address, b.port)
    }

    public var description: String {
        switch address {
        case .v4(let address): "\(address):\(port)"
        case .v6(let address): "[\(address)]:\(port)"
        }
    }
}
