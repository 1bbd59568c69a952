// What the headers of both IP versions say, with options and extension headers skipped.

package import NIOCore

/// The header of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet that a host may accept.
package struct IPHeader: Hashable, Sendable {
    package let source: IPAddress
    /// Of the same version as `source`.
    package let destination: IPAddress
    /// The protocol of the payload; in a fragment, of what the fragments make together.
    package let upperLayerProtocol: IPProtocolNumber
    /// Where the field lies that holds `upperLayerProtocol`, in bytes.
    package let protocolOffset: Int
    /// IPv4's Time to Live, IPv6's Hop Limit.
    package let hopLimit: UInt8
    /// Where the payload starts, behind all options and extension headers, in bytes.
    package let headerLength: Int
    /// Header and payload, in bytes. What follows in the buffer is padding of the link.
    package let totalLength: Int
    /// Set if the packet is a fragment.
    package let fragment: Fragment?
    /// Whether a router that finds the packet too long must say so instead of splitting it: IPv4's flag, IPv6's rule.
    package internal(set) var dontFragment: Bool
    /// Whether a router on the way has been congested (RFC 3168 section 5).
    package let congestionExperienced: Bool

    package var version: IPVersion { source.version }

    /// Where the payload lies in the packet. Not beyond the end of the bytes parsed, unless they were a quotation.
    package var payload: Range<Int> { headerLength..<totalLength }

    static let minimumIPv4Length = 20
    static let ipv6Length = 40
    /// The value that the host requirements recommend (RFC 1122 section 3.2.1.7, RFC 1700).
    static let defaultHopLimit: UInt8 = 64

    /// A fragment's place in its datagram.
    package struct Fragment: Hashable, Sendable {
        /// IPv4 uses 16 bits of it.
        package let identification: UInt32
        /// Where the fragment's payload belongs, in bytes.
        package let offset: Int
        package let isLast: Bool
        /// IPv6: the field that announces the Fragment header, which is the last before the payload. IPv4: 0.
        package let nextHeaderOffset: Int
    }

    /// The length of a header without options, in bytes.
    package static func minimumLength(_ version: IPVersion) -> Int {
        switch version {
        case .v4: minimumIPv4Length
        case .v6: ipv6Length
        }
    }

    /// The longest payload, in bytes: IPv4's Total Length counts its header, IPv6's Payload Length does not.
    static func maximumPayloadLength(_ version: IPVersion) -> Int {
        switch version {
        case .v4: 65_535 - minimumIPv4Length
        case .v6: 65_535
        }
    }

}

extension IPHeader {
    /// Reads a packet; bytes after it are not looked at.
    package init(parsing packet: RawSpan) throws(PacketFault) {
        try self.init(parsing: packet, isQuotation: false)
    }

    /// Reads a packet or, with less demanded, the start of one that an ICMP message quotes.
    @inline(__always)
    init(parsing packet: RawSpan, isQuotation: Bool) throws(PacketFault) {
        guard packet.byteCount >= 1 else { throw .truncated }
        switch packet.uint8(at: 0) >> 4 {
        case 4: try self.init(parsingIPv4: packet, isQuotation: isQuotation)
        case 6: try self.init(parsingIPv6: packet, isQuotation: isQuotation)
        case let version: throw .version(version)
        }
    }

    /// Writes the header of an unfragmented packet without options, or throws before it has written anything.
    ///
    /// `payloadLength` is in bytes. `trafficClass` is IPv6's, and IPv4's former type of service: the code point of RFC 2474 and
    /// the two bits of RFC 3168.
    package static func write(
        source: IPAddress, destination: IPAddress, protocol number: IPProtocolNumber,
        hopLimit: UInt8 = defaultHopLimit, trafficClass: UInt8 = 0, payloadLength: Int, to buffer: inout ByteBuffer
    ) throws(NetstackError) {
        try requireWritable(source: source, destination: destination, payloadLength: payloadLength)
        let length = minimumLength(source.version)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { bytes in
            write(
                source: source, destination: destination, protocol: number, hopLimit: hopLimit,
                trafficClass: trafficClass, payloadLength: payloadLength, to: bytes)
            return length
        }
    }

    /// Whether there is such a packet.
    package static func requireWritable(
        source: IPAddress, destination: IPAddress, payloadLength: Int
    ) throws(NetstackError) {
        guard source.version == destination.version else {
            throw .addressNotAvailable(source, reason: "\(destination) is of another IP version")
        }
        let limit = maximumPayloadLength(source.version)
        guard payloadLength <= limit else { throw .datagramTooLong(payloadLength, limit: limit) }
    }

    /// The same for a packet that is known to be writable, to the front of `bytes`, which has room for it.
    package static func write(
        source: IPAddress, destination: IPAddress, protocol number: IPProtocolNumber,
        hopLimit: UInt8, trafficClass: UInt8, payloadLength: Int,
        to bytes: UnsafeMutableRawBufferPointer
    ) {
        switch (source, destination) {
        case (.v4(let source), .v4(let destination)):
            writeIPv4Header(
                source: source, destination: destination, protocol: number, hopLimit: hopLimit,
                trafficClass: trafficClass, payloadLength: payloadLength, to: bytes)
        case (.v6(let source), .v6(let destination)):
            writeIPv6Header(
                source: source, destination: destination, protocol: number, hopLimit: hopLimit,
                trafficClass: trafficClass, payloadLength: payloadLength, to: bytes)
        default: return
        }
    }
}
