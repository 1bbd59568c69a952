// Why bytes are not a packet that a host may accept.

/// What is wrong with a packet.
package enum PacketFault: Error, Hashable, Sendable {
    /// The bytes end before a header does.
    case truncated
    /// The version is neither 4 nor 6.
    case version(UInt8)
    /// A header length is below the minimum or beyond the packet.
    case headerLength
    /// A length field contradicts the bytes there are.
    case totalLength
    /// An IPv6 jumbogram (RFC 2675).
    case jumbogram
    /// The IPv4 header checksum is wrong.
    case headerChecksum
    /// An option's length is impossible, or a host must not skip an option it does not know (RFC 8200 section 4.2).
    case options
    /// A source route, which a host must not follow (RFC 7126 section 4.3, RFC 5095).
    case sourceRoute
    /// IPv6 extension headers that are too many or out of order.
    case extensionHeaders
    /// The checksum of the upper-layer protocol is wrong, or absent where it must not be.
    case checksum
}

extension PacketFault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated: "packet is truncated"
        case .version(let version): "IP version is \(version)"
        case .headerLength: "header length is impossible"
        case .totalLength: "length field contradicts the packet"
        case .jumbogram: "jumbograms are not supported"
        case .headerChecksum: "IPv4 header checksum is wrong"
        case .options: "an option is malformed or must not be skipped"
        case .sourceRoute: "packet has a source route"
        case .extensionHeaders: "IPv6 extension headers are too many or out of order"
        case .checksum: "checksum is wrong"
        }
    }
}
