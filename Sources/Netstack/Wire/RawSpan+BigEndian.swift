// Reading fields in network byte order. Every access is checked against the bounds of the span.

extension RawSpan {
    // Integers are valid for any bytes, which is all that makes these loads "unsafe".

    func uint8(at offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    func uint16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    func uint32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    func uint64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func ipv4Address(at offset: Int) -> IPAddress { .v4(IPv4Address(rawValue: uint32(at: offset))) }

    func ipv6Address(at offset: Int) -> IPAddress {
        .v6(IPv6Address(rawValue: UInt128(uint64(at: offset)) << 64 | UInt128(uint64(at: offset + 8))))
    }
}
