// Numbers in the protocol field of IPv4 and the next header field of IPv6.

struct IPProtocol: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt8

    static let hopByHopOptions = IPProtocol(rawValue: 0)
    static let icmp = IPProtocol(rawValue: 1)
    static let tcp = IPProtocol(rawValue: 6)
    static let udp = IPProtocol(rawValue: 17)
    static let routing = IPProtocol(rawValue: 43)
    static let fragment = IPProtocol(rawValue: 44)
    static let icmpv6 = IPProtocol(rawValue: 58)
    static let noNextHeader = IPProtocol(rawValue: 59)
    static let destinationOptions = IPProtocol(rawValue: 60)
}
