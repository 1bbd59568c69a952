// An IP address with a port.

/// An IP address and a port: where a TCP connection or a UDP datagram comes from or goes to.
public struct TransportAddress: Hashable, Sendable {
    /// The IP address.
    public var address: IPAddress
    /// The port, of TCP or UDP.
    public var port: UInt16

    /// A port of a host.
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
        let colon = UInt8(ascii: ":")
        let address: IPAddress
        let rest: ArraySlice<UInt8>
        if text.first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")) else {
                throw TextFault("a bracket is not closed")
            }
            let host = text[1..<bracket]
            guard host.contains(colon) else { throw TextFault("only IPv6 addresses stand in brackets") }
            address = .v6(try IPv6Address.parse(Array(host)))
            rest = text[(bracket + 1)...]
        } else {
            let host = text.prefix { $0 != colon }
            rest = text[host.endIndex...]
            guard !rest.dropFirst().contains(colon) else {
                throw TextFault("an IPv6 address with a port needs brackets, as in [::1]:80")
            }
            address = .v4(try IPv4Address.parse(host))
        }
        guard rest.first == colon else { throw TextFault("the port is missing") }
        return TransportAddress(address, UInt16(try TextFault.decimal(rest.dropFirst(), limit: 65535, "the port")))
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
