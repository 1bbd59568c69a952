// Protobuf messages by hand: those of libp2p that are needed here have three to six fields, of two kinds. A library and its
// plugin would cost every user more than these lines.

package import NIOCore

/// The fields of a message, in order.
package struct ProtobufMessage {
    package enum Value: Hashable {
        case varint(UInt64)
        case bytes(ByteBuffer)
    }

    package private(set) var fields: [(number: Int, value: Value)] = []

    package init() {}

    /// Fields of fixed length, which no message here has, are skipped.
    ///
    /// - Throws: `LibP2PError.message`, with `what` for what it is.
    package init(parsing message: ByteBuffer, as what: String) throws(LibP2PError) {
        var rest = message
        while rest.readableBytes > 0 {
            let key = try rest.readProtobufVarint(of: what)
            guard key >> 3 > 0, let number = Int(exactly: key >> 3), number < 1 << 29 else {
                throw .message(what: what, fault: "a field has no number")
            }
            switch key & 7 {
            case 0: fields.append((number, .varint(try rest.readProtobufVarint(of: what))))
            case 1: try rest.skip(8, of: what)
            case 2:
                let length = try rest.readProtobufVarint(of: what)
                guard length <= rest.readableBytes, let bytes = rest.readSlice(length: Int(length)) else {
                    throw .message(what: what, fault: "a field ends behind the message")
                }
                fields.append((number, .bytes(bytes)))
            case 5: try rest.skip(4, of: what)
            default: throw .message(what: what, fault: "a field is of no known kind")
            }
        }
    }

    /// The last varint with a number, as protobuf has it.
    package func varint(_ number: Int) -> UInt64? {
        for case (number, .varint(let value)) in fields.reversed() { return value }
        return nil
    }

    /// The last bytes with a number.
    package func bytes(_ number: Int) -> ByteBuffer? { all(number).last }

    /// All bytes with a number, in order.
    package func all(_ number: Int) -> [ByteBuffer] {
        fields.compactMap { if case (number, .bytes(let bytes)) = $0 { bytes } else { nil } }
    }

    package mutating func append(_ number: Int, _ value: UInt64) { fields.append((number, .varint(value))) }

    package mutating func append(_ number: Int, _ bytes: some Sequence<UInt8>) {
        fields.append((number, .bytes(ByteBuffer(bytes: bytes))))
    }

    package mutating func append(_ number: Int, _ text: String) { append(number, text.utf8) }

    package func serialized() -> ByteBuffer {
        var message = ByteBuffer()
        for (number, value) in fields {
            switch value {
            case .varint(let value):
                message.writeUnsignedVarint(UInt64(number) << 3)
                message.writeUnsignedVarint(value)
            case .bytes(let bytes):
                message.writeUnsignedVarint(UInt64(number) << 3 | 2)
                message.writeLengthPrefixed(bytes)
            }
        }
        return message
    }
}

extension ByteBuffer {
    /// Protobuf's varints have up to ten bytes, and may be longer than they need be.
    fileprivate mutating func readProtobufVarint(of what: String) throws(LibP2PError) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<10 {
            guard let byte: UInt8 = readInteger() else { throw .message(what: what, fault: "it ends within a number") }
            value |= UInt64(byte & 0x7f) << (7 * index)
            if byte & 0x80 == 0 { return value }
        }
        throw .message(what: what, fault: "a number is longer than ten bytes")
    }

    fileprivate mutating func skip(_ count: Int, of what: String) throws(LibP2PError) {
        guard readSlice(length: count) != nil else {
            throw .message(what: what, fault: "a field ends behind the message")
        }
    }
}
