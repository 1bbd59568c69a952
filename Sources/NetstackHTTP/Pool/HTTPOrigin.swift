// Where a request goes: what connections are opened to and kept for (RFC 6454).

import NIOCore

/// A scheme, a host and a port.
package struct HTTPOrigin: Hashable, Sendable {
    package enum Scheme: String, Sendable {
        case http, https

        package var defaultPort: Int {
            switch self {
            case .http: 80
            case .https: 443
            }
        }
    }

    package let scheme: Scheme
    /// A name in lower case, or an IP address; an IPv6 address without brackets.
    package let host: String
    package let port: Int

    /// The value of the Host field: the port is left out when it is the scheme's own (RFC 9110 section 4.2).
    package var authority: String {
        let host = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == scheme.defaultPort ? host : "\(host):\(port)"
    }

    /// What TLS names the server by: a host name without its final dot, never an address (RFC 6066 section 3).
    package var serverName: String? {
        if (try? SocketAddress(ipAddress: host, port: 0)) != nil { return nil }
        return host.hasSuffix(".") ? String(host.dropLast()) : host
    }

    /// Parses `host[:port]`, where host is a name, an IPv4 address or an IPv6 address in brackets (RFC 3986 section 3.2).
    init(scheme: Scheme, authority: Substring) throws(URLFault) {
        guard !authority.contains("@") else { throw "it carries credentials" }
        let host: Substring
        let rest: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw "a bracket is not closed" }
            host = authority[..<end].dropFirst()
            rest = authority[end...].dropFirst()
            guard case .v6? = try? SocketAddress(ipAddress: String(host), port: 0) else {
                throw "\"\(host)\" is not an IPv6 address"
            }
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = authority[..<end]
            rest = authority[end...]
            guard !host.isEmpty else { throw "it has no host" }
            guard host.utf8.allSatisfy(Self.isHostCharacter) else { throw "\"\(host)\" is not a host name" }
        }
        self.scheme = scheme
        self.host = host.lowercased()
        if rest.isEmpty || rest == ":" {
            port = scheme.defaultPort
        } else {
            let digits = rest.dropFirst()
            guard rest.hasPrefix(":"), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let port = UInt16(digits), port > 0
            else { throw "\"\(digits)\" is not a port" }
            self.port = Int(port)
        }
    }

    /// Letters, digits, hyphens, dots; underscores too, which some networks have in names.
    private static func isHostCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension HTTPOrigin: CustomStringConvertible {
    package var description: String { "\(scheme.rawValue)://\(authority)" }
}
