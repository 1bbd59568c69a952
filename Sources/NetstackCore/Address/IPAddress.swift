// An address of either IP version.

/// The version of the Internet Protocol.
public enum IPVersion: UInt8, Hashable, Sendable, CustomStringConvertible {
    /// RFC 791.
    case v4 = 4
    /// RFC 8200.
    case v6 = 6

    public var description: String { "IPv\(rawValue)" }
}

/// An IPv4 or IPv6 address. All IPv4 addresses sort before all IPv6 addresses.
public enum IPAddress: Hashable, Comparable, Sendable {
    /// Of IPv4.
    case v4(IPv4Address)
    /// Of IPv6.
    case v6(IPv6Address)

    /// Parses the text of either version.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(Array(text.utf8))
        } catch {
            throw .malformed(kind: "an IP address", text, fault: error)
        }
    }

    static func parse(_ text: [UInt8]) throws(TextFault) -> IPAddress {
        text.contains(UInt8(ascii: ":")) ? .v6(try IPv6Address.parse(text)) : .v4(try IPv4Address.parse(text))
    }

    /// Of which version the address is.
    public var version: IPVersion {
        switch self {
        case .v4: .v4
        case .v6: .v6
        }
    }

    /// The unspecified address of a version: 0.0.0.0 or ::.
    public static func any(_ version: IPVersion) -> IPAddress {
        version == .v4 ? .v4(.any) : .v6(.any)
    }

    /// Whether it is `0.0.0.0` or `::`.
    public var isUnspecified: Bool {
        switch self {
        case .v4(let address): address.isUnspecified
        case .v6(let address): address.isUnspecified
        }
    }

    /// Whether it stands for the host itself: in `127.0.0.0/8`, or `::1`.
    public var isLoopback: Bool {
        switch self {
        case .v4(let address): address.isLoopback
        case .v6(let address): address.isLoopback
        }
    }

    /// Whether it stands for a group: in `224.0.0.0/4` or `ff00::/8`.
    public var isMulticast: Bool {
        switch self {
        case .v4(let address): address.isMulticast
        case .v6(let address): address.isMulticast
        }
    }

    /// Whether it counts on one link alone: in `169.254.0.0/16` (RFC 3927) or `fe80::/10` (RFC 4291).
    public var isLinkLocal: Bool {
        switch self {
        case .v4(let address): address.isLinkLocal
        case .v6(let address): address.isLinkLocal
        }
    }

    /// Whether it is the limited broadcast address, 255.255.255.255.
    public var isBroadcast: Bool {
        switch self {
        case .v4(let address): address.isBroadcast
        case .v6(let address): address.isBroadcast
        }
    }

    /// Why no packet between two hosts can carry this address; nil when it can.
    package var whyNotUnicast: String? {
        switch self {
        case .v4(let address): address.whyNotUnicast
        case .v6(let address): address.whyNotUnicast
        }
    }

    /// The bits, right-aligned.
    var bits: UInt128 {
        switch self {
        case .v4(let address): UInt128(address.rawValue)
        case .v6(let address): address.rawValue
        }
    }

    /// The number of bits: 32 or 128.
    var width: Int { version == .v4 ? 32 : 128 }
}

extension IPAddress: CustomStringConvertible {
    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }
}
