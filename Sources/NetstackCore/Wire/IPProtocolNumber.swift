// The number by which an IP header names the protocol of its payload.

/// An IANA-assigned Internet protocol number: IPv4's Protocol, IPv6's Next Header.
package struct IPProtocolNumber: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let hopByHopOptions = IPProtocolNumber(rawValue: 0)
    package static let icmp = IPProtocolNumber(rawValue: 1)
    package static let tcp = IPProtocolNumber(rawValue: 6)
    package static let udp = IPProtocolNumber(rawValue: 17)
    package static let routing = IPProtocolNumber(rawValue: 43)
    package static let fragment = IPProtocolNumber(rawValue: 44)
    package static let icmpv6 = IPProtocolNumber(rawValue: 58)
    package static let noNextHeader = IPProtocolNumber(rawValue: 59)
    package static let destinationOptions = IPProtocolNumber(rawValue: 60)

    package var description: String { "IP protocol \(rawValue)" }
}
