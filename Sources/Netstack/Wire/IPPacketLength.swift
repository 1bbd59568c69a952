// How long the packet is that a byte stream goes on with.

/// What the first bytes of a packet say of its length.
package enum IPPacketLength: Equatable {
    /// The field has not come yet.
    case needMore
    case length(Int)
    /// These bytes begin no packet.
    case impossible(fault: String)

    package init(_ bytes: RawSpan) {
        guard bytes.byteCount >= 1 else {
            self = .needMore
            return
        }
        let first = bytes.uint8(at: 0)
        switch first >> 4 {
        case 4:
            let header = Int(first & 15) * 4
            guard header >= 20 else {
                self = .impossible(fault: "an IPv4 header of \(header) bytes")
                return
            }
            guard bytes.byteCount >= 4 else {
                self = .needMore
                return
            }
            let total = Int(bytes.uint16(at: 2))
            self = total >= header ? .length(total) : .impossible(fault: "an IPv4 packet of \(total) bytes")
        case 6:
            self = bytes.byteCount >= 6 ? .length(40 + Int(bytes.uint16(at: 4))) : .needMore
        case let version:
            self = .impossible(fault: "a packet of IP version \(version)")
        }
    }
}
