// The Internet checksum (RFC 1071).

/// The one's complement sum of 16-bit words, as it runs.
struct InternetChecksum {
    /// Sums stay far below 2^64: each addition is below 2^33, and packets have at most 2^16 bytes.
    private var sum: UInt64 = 0

    /// Adds bytes. Only the last addition may have an odd number of them.
    mutating func add(_ span: RawSpan) {
        var offset = 0
        let end = span.byteCount
        // The sum is the same in either byte order up to a final swap, and in words of any size up to folding
        // (RFC 1071 section 2): so whole 32-bit words are added as they lie in memory.
        var native: UInt64 = 0
        while offset + 16 <= end {
            native &+= UInt64(span.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
            native &+= UInt64(span.unsafeLoadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            native &+= UInt64(span.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt32.self))
            native &+= UInt64(span.unsafeLoadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
            offset += 16
        }
        while offset + 2 <= end {
            native &+= UInt64(span.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
            offset += 2
        }
        sum += UInt64(UInt16(bigEndian: Self.fold(native)))
        if offset < end { sum += UInt64(span.uint8(at: offset)) << 8 }
    }

    mutating func add(_ word: UInt16) { sum += UInt64(word) }

    mutating func add(_ address: IPAddress) {
        var bits = address.bits
        while bits != 0 {
            sum += UInt64(truncatingIfNeeded: bits & 0xffff)
            bits >>= 16
        }
    }

    /// Adds the pseudo header of RFC 793 or RFC 8200 section 8.1.
    mutating func addPseudoHeader(_ source: IPAddress, _ destination: IPAddress, _ upper: IPProtocol, length: Int) {
        add(source)
        add(destination)
        sum += UInt64(upper.rawValue) + UInt64(truncatingIfNeeded: length)
    }

    /// What goes into the checksum field; zero when the field was part of the sum and is right.
    var value: UInt16 { ~Self.fold(sum) }

    private static func fold(_ sum: UInt64) -> UInt16 {
        var sum = sum
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        return UInt16(truncatingIfNeeded: sum)
    }
}
