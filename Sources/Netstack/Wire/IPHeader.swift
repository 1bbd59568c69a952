// The header of an IP packet of either version: parsed and checked, or written.

import NIOCore

/// What the stack needs to know of an IP header (RFC 791, RFC 8200).
struct IPHeader {
    /// Where a fragment belongs.
    struct Fragment: Hashable {
        var identification: UInt32
        /// Where its data belongs in that of the whole packet, in bytes.
        var offset: Int
        var isLast: Bool
        /// IPv6: where the fragment header begins, and where the field is that announces it.
        var headerOffset = 0
        var announcedAt = 0
    }

    var version: IPVersion
    var source: IPAddress
    var destination: IPAddress
    /// What follows the header and its extensions.
    var upperLayerProtocol: IPProtocol
    /// Time to live, or hop limit.
    var hopLimit: UInt8
    /// Where the payload begins: after all options and extension headers.
    var headerLength: Int
    /// Where the packet ends, which may be before the bytes do.
    var totalLength: Int
    /// Set for fragments only.
    var fragment: Fragment?

    /// Hosts need not follow endless chains of extension headers (RFC 8504 section 5.3).
    private static let maximumExtensionHeaders = 8

    init(parsing packet: RawSpan) throws(PacketFault) {
        guard packet.byteCount >= 20 else { throw .truncated }
        switch packet.uint8(at: 0) >> 4 {
        case 4: try self.init(parsingIPv4: packet)
        case 6: try self.init(parsingIPv6: packet)
        default: throw .version
        }
    }

    private init(parsingIPv4 packet: RawSpan) throws(PacketFault) {
        let headerLength = Int(packet.uint8(at: 0) & 15) * 4
        guard headerLength >= 20 else { throw .headerLength }
        let totalLength = Int(packet.uint16(at: 2))
        guard totalLength >= headerLength else { throw .totalLength }
        guard totalLength <= packet.byteCount else { throw .truncated }
        var checksum = InternetChecksum()
        checksum.add(packet.extracting(0..<headerLength))
        guard checksum.value == 0 else { throw .checksum }
        if headerLength > 20 { try Self.checkOptions(packet.extracting(20..<headerLength)) }

        version = .v4
        source = packet.ipv4Address(at: 12)
        destination = packet.ipv4Address(at: 16)
        upperLayerProtocol = IPProtocol(rawValue: packet.uint8(at: 9))
        hopLimit = packet.uint8(at: 8)
        self.headerLength = headerLength
        self.totalLength = totalLength
        let fragmentField = packet.uint16(at: 6)
        if fragmentField & 0x3fff != 0 {
            let fragment = Fragment(
                identification: UInt32(packet.uint16(at: 4)), offset: Int(fragmentField & 0x1fff) * 8,
                isLast: fragmentField & 0x2000 == 0)
            try Self.check(fragment, length: totalLength - headerLength)
            self.fragment = fragment
        }
    }

    /// Options are skipped, but a source route would make this host a router (RFC 7126 sections 4.3 and 4.4).
    private static func checkOptions(_ options: RawSpan) throws(PacketFault) {
        var offset = 0
        while offset < options.byteCount {
            switch options.uint8(at: offset) {
            case 0: return
            case 1: offset += 1
            case 131, 137: throw .sourceRoute
            default:
                guard offset + 1 < options.byteCount else { throw .options }
                let length = Int(options.uint8(at: offset + 1))
                guard length >= 2, offset + length <= options.byteCount else { throw .options }
                offset += length
            }
        }
    }

    private init(parsingIPv6 packet: RawSpan) throws(PacketFault) {
        guard packet.byteCount >= 40 else { throw .truncated }
        let totalLength = 40 + Int(packet.uint16(at: 4))
        guard totalLength <= packet.byteCount else { throw .truncated }
        version = .v6
        source = packet.ipv6Address(at: 8)
        destination = packet.ipv6Address(at: 24)
        hopLimit = packet.uint8(at: 7)
        self.totalLength = totalLength

        var next = IPProtocol(rawValue: packet.uint8(at: 6))
        var announcedAt = 6
        var offset = 40
        var count = 0
        walk: while true {
            var length = 8
            switch next {
            case .hopByHopOptions, .destinationOptions, .routing:
                guard offset + 8 <= totalLength else { throw .truncated }
                // RFC 8200 section 4.1: hop-by-hop options come first. Section 4.4, RFC 5095: no routing is left to do.
                if next == .hopByHopOptions, offset != 40 { throw .extensionHeaders }
                if next == .routing, packet.uint8(at: offset + 3) != 0 || packet.uint8(at: offset + 2) == 0 {
                    throw .sourceRoute
                }
                length = 8 + Int(packet.uint8(at: offset + 1)) * 8
            case .fragment:
                guard offset + 8 <= totalLength, fragment == nil else { throw .extensionHeaders }
                let field = packet.uint16(at: offset + 2)
                let fragment = Fragment(
                    identification: packet.uint32(at: offset + 4), offset: Int(field & 0xfff8), isLast: field & 1 == 0,
                    headerOffset: offset, announcedAt: announcedAt)
                try Self.check(fragment, length: totalLength - offset - 8)
                self.fragment = fragment
                // What follows may be the middle of anything.
                if fragment.offset > 0 || !fragment.isLast {
                    next = IPProtocol(rawValue: packet.uint8(at: offset))
                    offset += 8
                    break walk
                }
            default:
                break walk
            }
            count += 1
            guard count <= Self.maximumExtensionHeaders else { throw .extensionHeaders }
            announcedAt = offset
            next = IPProtocol(rawValue: packet.uint8(at: offset))
            offset += length
            guard offset <= totalLength else { throw .truncated }
        }
        upperLayerProtocol = next
        headerLength = offset
    }

    /// All fragments but the last carry a multiple of 8 bytes, and none reaches beyond the longest packet.
    private static func check(_ fragment: Fragment, length: Int) throws(PacketFault) {
        guard length > 0 || fragment.isLast && fragment.offset == 0, fragment.isLast || length % 8 == 0,
            fragment.offset + length <= 65535
        else { throw .fragment }
    }
}

extension IPHeader {
    static let defaultHopLimit: UInt8 = 64

    /// The length of the header that `write` writes.
    static func length(_ version: IPVersion) -> Int { version == .v4 ? 20 : 40 }

    /// Appends a header for a payload that follows. Both addresses are of one version.
    static func write(
        from source: IPAddress, to destination: IPAddress, _ upper: IPProtocol, payloadLength: Int,
        identification: UInt32 = 0, into buffer: inout ByteBuffer
    ) {
        switch (source, destination) {
        case (.v4(let source), .v4(let destination)):
            let start = buffer.writerIndex
            buffer.writeMultipleIntegers(
                UInt8(0x45), UInt8(0), UInt16(truncatingIfNeeded: payloadLength + 20),
                UInt16(truncatingIfNeeded: identification), UInt16(0), defaultHopLimit, upper.rawValue, UInt16(0),
                source.rawValue, destination.rawValue)
            fixIPv4Checksum(in: &buffer, at: start)
        case (.v6(let source), .v6(let destination)):
            buffer.writeMultipleIntegers(
                UInt32(0x6000_0000), UInt16(truncatingIfNeeded: payloadLength), upper.rawValue, defaultHopLimit)
            buffer.writeMultipleIntegers(source.rawValue, destination.rawValue)
        default:
            assertionFailure("addresses of two IP versions")
        }
    }

    /// Writes the checksum of the 20-byte header at `start`, whatever stands in the field.
    static func fixIPv4Checksum(in buffer: inout ByteBuffer, at start: Int) {
        buffer.setInteger(UInt16(0), at: start + 10)
        var checksum = InternetChecksum()
        checksum.add(buffer.readableBytesSpan.extracting((start - buffer.readerIndex)..<(start - buffer.readerIndex + 20)))
        buffer.setInteger(checksum.value, at: start + 10)
    }
}
