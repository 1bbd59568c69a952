// The texts of peer ids: base58 as Bitcoin has it, and base32 of RFC 4648 in lower case without padding.

package enum Base58 {
    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    private static let digits: [UInt8: Int] = Dictionary(
        uniqueKeysWithValues: alphabet.enumerated().map { ($1, $0) })
    /// Longer texts are not looked at: the work grows with the square of the length.
    package static let lengthLimit = 128

    package static func encode(_ bytes: [UInt8]) -> String {
        var number: [Int] = []
        for byte in bytes {
            var carry = Int(byte)
            for index in number.indices {
                carry += number[index] << 8
                number[index] = carry % 58
                carry /= 58
            }
            while carry > 0 {
                number.append(carry % 58)
                carry /= 58
            }
        }
        let zeros = bytes.prefix { $0 == 0 }.count
        let text = Array(repeating: alphabet[0], count: zeros) + number.reversed().map { alphabet[$0] }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil if `text` has other characters, or is too long.
    package static func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= lengthLimit else { return nil }
        var number: [UInt8] = []
        for character in text.utf8 {
            guard var carry = digits[character] else { return nil }
            for index in number.indices {
                carry += Int(number[index]) * 58
                number[index] = UInt8(truncatingIfNeeded: carry)
                carry >>= 8
            }
            while carry > 0 {
                number.append(UInt8(truncatingIfNeeded: carry))
                carry >>= 8
            }
        }
        let zeros = text.utf8.prefix { $0 == alphabet[0] }.count
        return Array(repeating: 0, count: zeros) + number.reversed()
    }
}

package enum Base32 {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var (bits, count) = (0, 0)
        for byte in bytes {
            bits = (bits << 8 | Int(byte)) & 0xfff
            count += 8
            while count >= 5 {
                count -= 5
                text.append(alphabet[bits >> count & 31])
            }
        }
        if count > 0 { text.append(alphabet[bits << (5 - count) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil if `text` has other characters, or bits beyond the last byte.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (bits, count) = (0, 0)
        for character in text.utf8 {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            bits = (bits << 5 | digit) & 0xfff
            count += 5
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> count))
            }
        }
        return count < 5 && bits & (1 << count - 1) == 0 ? bytes : nil
    }
}
