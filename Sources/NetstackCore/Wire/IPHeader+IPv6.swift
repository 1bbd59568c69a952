// IPv6 headers and extension headers (RFC 8200), read and written.

import NIOCore

extension IPHeader {
    /// More than any packet has use for; a bound, so that a packet can't make the walk long.
    private static let maximumExtensionHeaders = 8

    @inline(__always)
    init(parsingIPv6 packet: RawSpan, isQuotation: Bool) throws(PacketFault) {
        guard packet.byteCount >= Self.ipv6Length else { throw .truncated }
        let payloadLength = Int(packet.uint16(at: 4))
        let totalLength = Self.ipv6Length + payloadLength
        guard isQuotation || totalLength <= packet.byteCount else { throw .totalLength }
        let nextHeader = IPProtocolNumber(rawValue: packet.uint8(at: 6))
        if payloadLength == 0, nextHeader == .hopByHopOptions { throw .jumbogram }

        var walk = ExtensionHeaderWalk(nextHeader: nextHeader)
        if walk.isAtExtensionHeader {
            try walk.run(through: packet.extracting(0..<min(totalLength, packet.byteCount)))
        }
        self.init(
            source: .v6(IPv6Address(rawValue: packet.uint128(at: 8))),
            destination: .v6(IPv6Address(rawValue: packet.uint128(at: 24))),
            upperLayerProtocol: walk.nextHeader,
            protocolOffset: walk.nextHeaderOffset,
            hopLimit: packet.uint8(at: 7),
            headerLength: walk.offset,
            totalLength: totalLength,
            fragment: walk.fragment,
            dontFragment: true,
            // The low bits of the traffic class.
            congestionExperienced: packet.uint8(at: 1) >> 4 & 3 == 3)
    }

    /// The way from the fixed header to the upper-layer header, or to the payload of a fragment.
    private struct ExtensionHeaderWalk {
        /// What lies at `offset`.
        private(set) var nextHeader: IPProtocolNumber
        private(set) var nextHeaderOffset = 6
        private(set) var offset = IPHeader.ipv6Length
        private(set) var fragment: Fragment?

        init(nextHeader: IPProtocolNumber) { self.nextHeader = nextHeader }

        /// Authentication and encryption count as upper layers: a host without them can't look behind.
        var isAtExtensionHeader: Bool {
            switch nextHeader {
            case .hopByHopOptions, .destinationOptions, .routing, .fragment: true
            default: false
            }
        }

        mutating func run(through packet: RawSpan) throws(PacketFault) {
            var count = 0
            // Behind a Fragment header lies a piece of a payload, not always a header.
            while isAtExtensionHeader, fragment == nil {
                count += 1
                guard count <= maximumExtensionHeaders else { throw .extensionHeaders }
                guard packet.byteCount - offset >= 8 else { throw .truncated }
                let length = nextHeader == .fragment ? 8 : (Int(packet.uint8(at: offset + 1)) + 1) * 8
                guard length <= packet.byteCount - offset else { throw .headerLength }
                try check(packet.extracting(offset..<offset + length))
                nextHeader = IPProtocolNumber(rawValue: packet.uint8(at: offset))
                nextHeaderOffset = offset
                offset += length
            }
        }

        private mutating func check(_ header: RawSpan) throws(PacketFault) {
            switch nextHeader {
            case .hopByHopOptions:
                // Only directly behind the fixed header (RFC 8200 section 4.1).
                guard offset == IPHeader.ipv6Length else { throw .extensionHeaders }
                try checkOptions(header.extracting(2..<header.byteCount))
            case .destinationOptions:
                try checkOptions(header.extracting(2..<header.byteCount))
            case .routing:
                // Type 0 is forbidden (RFC 5095); others may lie at the end of their route (RFC 8200 section 4.4).
                guard header.uint8(at: 2) != 0, header.uint8(at: 3) == 0 else { throw .sourceRoute }
            default:
                let offsetAndFlags = header.uint16(at: 2)
                fragment = Fragment(
                    identification: header.uint32(at: 4),
                    offset: Int(offsetAndFlags & ~7),
                    isLast: offsetAndFlags & 1 == 0,
                    nextHeaderOffset: nextHeaderOffset)
            }
        }

        private func checkOptions(_ options: RawSpan) throws(PacketFault) {
            var offset = 0
            while offset < options.byteCount {
                let type = options.uint8(at: offset)
                if type == 0 {  // Pad1.
                    offset += 1
                    continue
                }
                guard options.byteCount - offset >= 2 else { throw .options }
                // The two highest bits of an unknown option say whether it may be skipped (RFC 8200 section 4.2).
                guard type >> 6 == 0 else { throw .options }
                let length = 2 + Int(options.uint8(at: offset + 1))
                guard length <= options.byteCount - offset else { throw .options }
                offset += length
            }
        }
    }

    static func writeIPv6Header(
        source: IPv6Address, destination: IPv6Address, protocol number: IPProtocolNumber, hopLimit: UInt8,
        trafficClass: UInt8, payloadLength: Int, to bytes: UnsafeMutableRawBufferPointer
    ) {
        let start: UInt32 = 6 << 28 | UInt32(trafficClass) << 20
        let rest = UInt32(truncatingIfNeeded: payloadLength) << 16 | UInt32(number.rawValue) << 8 | UInt32(hopLimit)
        bytes.storeBytes(of: start.bigEndian, as: UInt32.self)
        bytes.storeBytes(of: rest.bigEndian, toByteOffset: 4, as: UInt32.self)
        bytes.storeBytes(of: source.rawValue.bigEndian, toByteOffset: 8, as: UInt128.self)
        bytes.storeBytes(of: destination.rawValue.bigEndian, toByteOffset: 24, as: UInt128.self)
    }
}
