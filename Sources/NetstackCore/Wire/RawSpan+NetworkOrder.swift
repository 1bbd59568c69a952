// Loads of big-endian integers, the byte order of every header field (RFC 791 appendix B).

extension RawSpan {
    /// The byte at `offset`. Like the wider loads, it traps outside of the span: parsers check `byteCount` first.
    @inline(__always)
    func uint8(at offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

    @inline(__always)
    func uint16(at offset: Int) -> UInt16 { integer(at: offset) }

    @inline(__always)
    func uint32(at offset: Int) -> UInt32 { integer(at: offset) }

    @inline(__always)
    func uint128(at offset: Int) -> UInt128 { integer(at: offset) }

    @inline(__always)
    private func integer<Integer: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Integer {
        // Safe: the load checks its bounds, and every bit pattern is a valid integer.
        Integer(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}
