// IPv4 headers (RFC 791), read and written.

import NIOCore

extension IPHeader {
    /// A quotation may be cut short, and routers on the way may have changed it without a new checksum.
    @inline(__always)
    init(parsingIPv4 packet: RawSpan, isQuotation: Bool) throws(PacketFault) {
        guard packet.byteCount >= Self.minimumIPv4Length else { throw .truncated }
        let headerLength = Int(packet.uint8(at: 0) & 0xf) * 4
        guard headerLength >= Self.minimumIPv4Length, headerLength <= packet.byteCount else { throw .headerLength }
        let totalLength = Int(packet.uint16(at: 2))
        guard totalLength >= headerLength, isQuotation || totalLength <= packet.byteCount else { throw .totalLength }
        if !isQuotation {
            var checksum = InternetChecksum()
            checksum.add(packet.extracting(0..<headerLength))
            guard checksum.value == 0 else { throw .headerChecksum }
            if headerLength > Self.minimumIPv4Length {
                try Self.checkOptions(packet.extracting(Self.minimumIPv4Length..<headerLength))
            }
        }

        let flagsAndOffset = packet.uint16(at: 6)
        var fragment: Fragment?
        if flagsAndOffset & (IPv4FragmentField.moreFragments | IPv4FragmentField.offset) != 0 {
            fragment = Fragment(
                identification: UInt32(packet.uint16(at: 4)),
                offset: Int(flagsAndOffset & IPv4FragmentField.offset) * 8,
                isLast: flagsAndOffset & IPv4FragmentField.moreFragments == 0,
                nextHeaderOffset: 0)
        }
        self.init(
            source: .v4(IPv4Address(rawValue: packet.uint32(at: 12))),
            destination: .v4(IPv4Address(rawValue: packet.uint32(at: 16))),
            upperLayerProtocol: IPProtocolNumber(rawValue: packet.uint8(at: 9)),
            protocolOffset: 9,
            hopLimit: packet.uint8(at: 8),
            headerLength: headerLength,
            totalLength: totalLength,
            fragment: fragment,
            dontFragment: flagsAndOffset & IPv4FragmentField.dontFragment != 0,
            congestionExperienced: packet.uint8(at: 1) & 3 == 3)
    }

    /// Walks the options; those a host has no use for, it skips (RFC 1122 section 3.2.1.8).
    private static func checkOptions(_ options: RawSpan) throws(PacketFault) {
        var offset = 0
        while offset < options.byteCount {
            let type = options.uint8(at: offset)
            switch type {
            case 0:  // End of option list.
                return
            case 1:  // No operation.
                offset += 1
            default:
                guard options.byteCount - offset >= 2 else { throw .options }
                let length = Int(options.uint8(at: offset + 1))
                guard length >= 2, length <= options.byteCount - offset else { throw .options }
                // Loose and strict source and record route.
                if type == 131 || type == 137 { throw .sourceRoute }
                offset += length
            }
        }
    }

    /// Writes the header of an atomic datagram: Don't Fragment is set, and the identification means nothing (RFC 6864).
    static func writeIPv4Header(
        source: IPv4Address, destination: IPv4Address, protocol number: IPProtocolNumber, hopLimit: UInt8,
        trafficClass: UInt8, payloadLength: Int, to bytes: UnsafeMutableRawBufferPointer
    ) {
        var checksum = InternetChecksum()
        func store(_ word: UInt16, at offset: Int) {
            checksum.add(word)
            bytes.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt16.self)
        }
        store(4 << 12 | UInt16(minimumIPv4Length / 4) << 8 | UInt16(trafficClass), at: 0)
        store(UInt16(truncatingIfNeeded: minimumIPv4Length + payloadLength), at: 2)
        store(0, at: 4)
        store(IPv4FragmentField.dontFragment, at: 6)
        store(UInt16(hopLimit) << 8 | UInt16(number.rawValue), at: 8)
        store(UInt16(truncatingIfNeeded: source.rawValue >> 16), at: 12)
        store(UInt16(truncatingIfNeeded: source.rawValue), at: 14)
        store(UInt16(truncatingIfNeeded: destination.rawValue >> 16), at: 16)
        store(UInt16(truncatingIfNeeded: destination.rawValue), at: 18)
        bytes.storeBytes(of: checksum.value.bigEndian, toByteOffset: 10, as: UInt16.self)
    }
}

/// The bits of the 16-bit field of an IPv4 header that holds flags and fragment offset.
enum IPv4FragmentField {
    static let dontFragment: UInt16 = 0x4000
    static let moreFragments: UInt16 = 0x2000
    /// In units of 8 bytes.
    static let offset: UInt16 = 0x1fff
}
