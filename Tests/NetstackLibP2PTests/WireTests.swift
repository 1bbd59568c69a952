// Varints, protobuf fields, base58 and base32: published examples and their edges.

import NIOCore
import NetstackLibP2P
import Testing

struct WireTests {
    /// The examples of the multiformats' specification, and the largest of each length.
    @Test(
        arguments: [
            (1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16384, "808001"), (0, "00"),
            (0x7fff_ffff_ffff_ffff, "ffffffffffffffff7f"),
        ] as [(UInt64, String)])
    func aVarintIsWrittenAndRead(_ value: UInt64, _ text: String) throws {
        var bytes = ByteBuffer()
        bytes.writeUnsignedVarint(value)
        #expect(Array(bytes.readableBytesView) == hex(text))
        for count in 0..<bytes.readableBytes {
            var cutOff = try #require(bytes.getSlice(at: 0, length: count))
            #expect(try cutOff.readUnsignedVarint() == nil)
            #expect(cutOff.readableBytes == count)
        }
        #expect(try bytes.readUnsignedVarint() == value)
        #expect(bytes.readableBytes == 0)
    }

    @Test(arguments: ["8000", "ff00", "808080808080808080", "ffffffffffffffffff01", "80808080808080808001"])
    func aVarintThatIsTooLongIsAnError(_ text: String) {
        var bytes = ByteBuffer(bytes: hex(text))
        #expect(throws: LibP2PError.self) { try bytes.readUnsignedVarint() }
    }

    @Test func unknownFieldsAreSkipped() throws {
        // 1: varint 150 (protobuf's own example); 2: fixed64; 3: fixed32; 4: "ok"; 5: varint of ten bytes.
        let bytes = hex("089601" + "110102030405060708" + "1d01020304" + "22026f6b" + "28ffffffffffffffffff01")
        let message = try ProtobufMessage(parsing: ByteBuffer(bytes: bytes), as: "test")
        #expect(message.varint(1) == 150)
        #expect(message.bytes(4) == ByteBuffer(string: "ok"))
        #expect(message.varint(5) == .max)
        #expect(message.bytes(2) == nil)
    }

    @Test(arguments: [
        "08", "0880", "0a", "0a05", "0a0161ff", "11010203", "1d0102", "0b", "0c", "00", "0f",
        "08ffffffffffffffffffff01", "0affffffffffffffff7f",
    ])
    func whatIsNoMessageIsAnError(_ text: String) {
        #expect {
            try ProtobufMessage(parsing: ByteBuffer(bytes: hex(text)), as: "test")
        } throws: { error in
            if case .message(what: "test", _)? = error as? LibP2PError { true } else { false }
        }
    }

    /// Of Bitcoin's base58_encode_decode.json.
    @Test(arguments: [
        ("", ""), ("61", "2g"), ("626262", "a3gV"), ("636363", "aPEr"),
        ("73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"),
        ("00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"),
        ("516b6fcd0f", "ABnLTmg"), ("bf4f89001e670274dd", "3SEo3LWLoPntC"), ("572e4794", "3EFU7m"),
        ("ecac89cad93923c02321", "EJDM8drfXA6uyA"), ("10c8511e", "Rt5zm"), ("00000000000000000000", "1111111111"),
    ])
    func base58IsBitcoins(_ bytes: String, _ text: String) {
        #expect(Base58.encode(hex(bytes)) == text)
        #expect(Base58.decode(text) == hex(bytes))
    }

    @Test(arguments: ["0", "O", "I", "l", "a b", "ä", String(repeating: "z", count: Multibase.lengthLimit + 1)])
    func whatIsNotBase58IsNothing(_ text: String) { #expect(Base58.decode(text) == nil) }

    /// RFC 4648 section 10, in lower case and without padding.
    @Test(arguments: [
        ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"),
        ("foobar", "mzxw6ytboi"),
    ])
    func base32IsThatOfTheRFC(_ bytes: String, _ text: String) {
        #expect(Base32.encode(Array(bytes.utf8)) == text)
        #expect(Base32.decode(text) == Array(bytes.utf8))
    }

    @Test(arguments: ["m", "mz1", "MY", "mz", "my======", "mzx"])
    func whatIsNotBase32IsNothing(_ text: String) { #expect(Base32.decode(text) == nil) }
}
