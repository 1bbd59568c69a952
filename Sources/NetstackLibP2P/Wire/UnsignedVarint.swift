// The integers of the multiformats: seven bits in each byte, the least significant first.

package import NIOCore

extension ByteBuffer {
    /// Reads an unsigned varint; nil, and nothing read, while its end has not come.
    ///
    /// - Throws: `LibP2PError.malformed` when it is longer than nine bytes, or longer than it need be
    ///   (https://github.com/multiformats/unsigned-varint).
    package mutating func readUnsignedVarint() throws(LibP2PError) -> UInt64? {
        var value: UInt64 = 0
        for (index, byte) in readableBytesView.prefix(9).enumerated() {
            value |= UInt64(byte & 0x7f) << (7 * index)
            guard byte & 0x80 == 0 else { continue }
            guard byte != 0 || index == 0 else {
                throw .malformed(kind: "varint", text: "\(value)", fault: "it is longer than it need be")
            }
            moveReaderIndex(forwardBy: index + 1)
            return value
        }
        guard readableBytes < 9 else {
            throw .malformed(kind: "varint", text: "…", fault: "it is longer than nine bytes")
        }
        return nil
    }

    package mutating func writeUnsignedVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(rest))
    }

    /// Writes bytes with a varint of their length before them.
    mutating func writeLengthPrefixed(_ bytes: ByteBuffer) {
        writeUnsignedVarint(UInt64(bytes.readableBytes))
        writeImmutableBuffer(bytes)
    }

    /// A slice with a varint of its length before it.
    ///
    /// - Throws: `LibP2PError.malformed` also when it is cut off.
    mutating func readLengthPrefixed(_ kind: String) throws(LibP2PError) -> ByteBuffer {
        guard let length = try readUnsignedVarint(), length <= readableBytes, let slice = readSlice(length: Int(length))
        else { throw .malformed(kind: kind, text: "…", fault: "it ends too early") }
        return slice
    }
}
