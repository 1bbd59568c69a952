// What an ICMP error tells about the packet it answers, read from the part of it that it quotes.

/// Whose a quoted packet is: addresses, ports, and what else its first eight bytes tell.
package struct ICMPQuotation: Hashable, Sendable {
    /// Its `totalLength` is that of the packet, most of which is not quoted.
    package let header: IPHeader
    /// The ports, of TCP and UDP only, and not in fragments after the first.
    package let ports: Ports?
    /// What identifies an echo request, of ICMP and ICMPv6 only.
    package let echo: Echo?
    /// Of TCP only: a host must check that it has sent this (RFC 5927 section 4.1).
    package let sequenceNumber: UInt32?

    package struct Echo: Hashable, Sendable {
        package let identifier: UInt16
        package let sequenceNumber: UInt16
    }

    package struct Ports: Hashable, Sendable {
        package let source: UInt16
        package let destination: UInt16
    }

    /// Reads a quoted packet: its header and at least eight bytes more (RFC 792).
    package init(parsing quote: RawSpan) throws(PacketFault) {
        header = try IPHeader(parsing: quote, isQuotation: true)
        let payload = quote.extracting(header.headerLength..<quote.byteCount)
        guard payload.byteCount >= 8 else { throw .truncated }
        let isFirst = header.fragment.map { $0.offset == 0 } ?? true
        guard isFirst else {
            (ports, echo, sequenceNumber) = (nil, nil, nil)
            return
        }
        let isTCP = header.upperLayerProtocol == .tcp
        let isICMP = header.upperLayerProtocol == (header.version == .v4 ? .icmp : .icmpv6)
        ports =
            isTCP || header.upperLayerProtocol == .udp
            ? Ports(source: payload.uint16(at: 0), destination: payload.uint16(at: 2)) : nil
        echo = isICMP ? Echo(identifier: payload.uint16(at: 4), sequenceNumber: payload.uint16(at: 6)) : nil
        sequenceNumber = isTCP ? payload.uint32(at: 4) : nil
    }
}
