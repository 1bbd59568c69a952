// What an ICMP error reports, and its types and codes in both versions.

/// Why a packet was not delivered (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3).
public enum ICMPError: Hashable, Sendable {
    /// There is no route to the network.
    case networkUnreachable
    /// The host does not answer on its network.
    case hostUnreachable
    /// The host has no such protocol.
    case protocolUnreachable
    /// Nobody listens at the port.
    case portUnreachable
    /// Somebody does not allow it.
    case administrativelyProhibited
    /// A link on the way takes packets of at most `mtu` bytes; 0 where an old router does not say (RFC 1191).
    case packetTooBig(mtu: Int)
    /// The hop limit, or Time to Live, ran out.
    case hopLimitExceeded
    /// Not all fragments came in time.
    case reassemblyTimeExceeded
    /// An error that hosts only count.
    case other(type: UInt8, code: UInt8)

    /// Nil for the types that don't report errors. `parameter` is the 32-bit field behind the checksum.
    package init?(type: UInt8, code: UInt8, parameter: UInt32, version: IPVersion) {
        switch (version, type, code) {
        case (.v4, 3, 0), (.v4, 3, 6), (.v6, 1, 0): self = .networkUnreachable
        case (.v4, 3, 1), (.v4, 3, 7), (.v6, 1, 3): self = .hostUnreachable
        case (.v4, 3, 2), (.v6, 4, 1): self = .protocolUnreachable
        case (.v4, 3, 3), (.v6, 1, 4): self = .portUnreachable
        // Network, host or communication prohibited; in IPv6 also by source address policy or a rejecting route.
        case (.v4, 3, 9), (.v4, 3, 10), (.v4, 3, 13), (.v6, 1, 1), (.v6, 1, 5), (.v6, 1, 6):
            self = .administrativelyProhibited
        case (.v4, 3, 4): self = .packetTooBig(mtu: Int(parameter & 0xffff))
        case (.v6, 2, _): self = .packetTooBig(mtu: Int(parameter))
        case (.v4, 11, 0), (.v6, 3, 0): self = .hopLimitExceeded
        case (.v4, 11, 1), (.v6, 3, 1): self = .reassemblyTimeExceeded
        default:
            guard Self.isError(type: type, version: version) else { return nil }
            self = .other(type: type, code: code)
        }
    }

    package func typeAndCode(_ version: IPVersion) -> (type: UInt8, code: UInt8) {
        let (v4, v6): ((UInt8, UInt8), (UInt8, UInt8)) =
            switch self {
            case .networkUnreachable: ((3, 0), (1, 0))
            case .hostUnreachable: ((3, 1), (1, 3))
            // To ICMPv6 it is a parameter problem: an unrecognized Next Header.
            case .protocolUnreachable: ((3, 2), (4, 1))
            case .portUnreachable: ((3, 3), (1, 4))
            case .administrativelyProhibited: ((3, 13), (1, 1))
            case .packetTooBig: ((3, 4), (2, 0))
            case .hopLimitExceeded: ((11, 0), (3, 0))
            case .reassemblyTimeExceeded: ((11, 1), (3, 1))
            case .other(let type, let code): ((type, code), (type, code))
            }
        return version == .v4 ? v4 : v6
    }

    /// Whether messages of this type report errors, so that no error may answer them.
    static func isError(type: UInt8, version: IPVersion) -> Bool {
        switch version {
        // Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 1122 section 3.2.2).
        case .v4: [3, 4, 5, 11, 12].contains(type)
        // The highest bit tells information from errors (RFC 4443 section 2.1). Redirects count as errors (section 2.4).
        case .v6: type < 128 || type == 137
        }
    }
}
