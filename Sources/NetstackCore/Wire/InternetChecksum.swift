// The checksum of IPv4, ICMP, UDP and TCP (RFC 1071).

import CInternetChecksum
import NIOCore

/// A running ones' complement sum of 16-bit words.
package struct InternetChecksum: Sendable {
    /// Words in host byte order, not yet folded; carries gather above them, with room for more than any packet makes.
    private var sum: UInt64 = 0
    /// Whether the bytes so far end in the middle of a word.
    private var isOdd = false

    package init() {}

    /// Adds a 16-bit field; fields are aligned, wherever the bytes so far end.
    package mutating func add(_ word: UInt16) { sum &+= UInt64(word) }

    /// Adds bytes that follow those added before.
    package mutating func add(_ bytes: RawSpan) {
        // Summed as the words lie in memory; only the result needs swapping (RFC 1071 section 2 (B)).
        let partial = bytes.withUnsafeBytes { internet_checksum_sum($0.baseAddress, Int32($0.count)) }.bigEndian
        // Bytes that start in the middle of a word land in the other halves (RFC 1071 section 2 (B)).
        sum &+= UInt64(isOdd ? partial.byteSwapped : partial)
        if bytes.byteCount & 1 == 1 { isOdd.toggle() }
    }

    /// Adds the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1).
    package mutating func addPseudoHeader(
        source: IPAddress, destination: IPAddress, protocol number: IPProtocolNumber, upperLayerLength: Int
    ) {
        add(source)
        add(destination)
        sum &+= UInt64(UInt32(truncatingIfNeeded: upperLayerLength)) &+ UInt64(number.rawValue)
    }

    /// What the checksum field has to hold; 0 when the bytes summed include a correct checksum.
    package var value: UInt16 { ~Self.fold(sum) }

    private mutating func add(_ address: IPAddress) {
        switch address {
        case .v4(let address):
            sum &+= UInt64(address.rawValue)
        case .v6(let address):
            for shift in stride(from: 0, to: 128, by: 32) {
                sum &+= UInt64(UInt32(truncatingIfNeeded: address.rawValue >> shift))
            }
        }
    }

    private static func fold(_ sum: UInt64) -> UInt16 {
        var sum = (sum & 0xffff_ffff) &+ (sum >> 32)
        while sum > 0xffff { sum = (sum & 0xffff) &+ (sum >> 16) }
        return UInt16(truncatingIfNeeded: sum)
    }
}

extension InternetChecksum {
    /// Whether an upper-layer payload, its pseudo-header included, sums to a correct checksum.
    package static func isValid(_ payload: RawSpan, protocol number: IPProtocolNumber, in header: IPHeader) -> Bool {
        var checksum = InternetChecksum()
        checksum.addPseudoHeader(
            source: header.source, destination: header.destination, protocol: number,
            upperLayerLength: payload.byteCount)
        checksum.add(payload)
        return checksum.value == 0
    }
}

extension ByteBuffer {
    /// Sets the 16-bit field at `field` to the checksum of the `length` bytes from `start`, where the field is 0 so far.
    ///
    /// Both offsets count from the first readable byte. `initial` holds a pseudo-header, or nothing.
    mutating func setChecksum(
        at field: Int, ofBytesFrom start: Int, length: Int, initial: InternetChecksum = InternetChecksum()
    ) {
        var checksum = initial
        checksum.add(readableBytesSpan.extracting(start..<start + length))
        setInteger(checksum.value, at: readerIndex + field)
    }
}
