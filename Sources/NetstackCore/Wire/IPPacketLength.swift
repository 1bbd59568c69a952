// Where a packet in a byte stream ends, judged by its first bytes.

/// The length of the packet that a byte stream continues with.
///
/// IP packets delimit themselves: IPv4 by its Total Length, IPv6 by its Payload Length.
package enum IPPacketLength: Hashable, Sendable {
    /// The bytes don't reach to the length field yet.
    case needMore
    /// Header and payload together, in bytes.
    case length(Int)
    /// No IP packet starts like this; the stream can't be read any further.
    case impossible(fault: String)

    /// Reads the first bytes of a packet; six are always enough.
    package init(ofPacketStartingWith prefix: RawSpan) {
        guard prefix.byteCount >= 1 else {
            self = .needMore
            return
        }
        switch prefix.uint8(at: 0) >> 4 {
        case 4:
            let headerLength = Int(prefix.uint8(at: 0) & 0xf) * 4
            guard headerLength >= IPHeader.minimumIPv4Length else {
                self = .impossible(fault: "an IPv4 packet has a header of \(headerLength) bytes")
                return
            }
            guard prefix.byteCount >= 4 else {
                self = .needMore
                return
            }
            let totalLength = Int(prefix.uint16(at: 2))
            self =
                totalLength >= headerLength
                ? .length(totalLength)
                : .impossible(fault: "an IPv4 packet of \(totalLength) bytes has a header of \(headerLength)")
        case 6:
            self = prefix.byteCount >= 6 ? .length(IPHeader.ipv6Length + Int(prefix.uint16(at: 4))) : .needMore
        case let version:
            self = .impossible(fault: "a packet has IP version \(version)")
        }
    }
}
