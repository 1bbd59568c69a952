// The texts of peer ids: base58 as Bitcoin has it, base32 of RFC 4648 in lower case without padding, and others to read.

package enum Base58 {
    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
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
    package static func decode(_ text: some StringProtocol) -> [UInt8]? { bytes(ofNumber: text, in: alphabet) }
}

package enum Base32 {
    fileprivate static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

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

    /// Nil if `text` has other characters, or bits beyond the last byte, or is too long.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? { bytes(ofBits: text, 5, in: alphabet) }
}

/// Texts that say in their first letter which base they are written in (https://github.com/multiformats/multibase).
package enum Multibase {
    /// Longer texts are not looked at: the work on a number grows with the square of the length.
    package static let lengthLimit = 128
    private static let hexadecimal = "0123456789abcdef"
    private static let base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
    private static let base32 = String(decoding: Base32.alphabet, as: UTF8.self)

    /// Nil if the base is not known here, or `text` is not written in it, or is too long.
    package static func decode(_ text: String) -> [UInt8]? {
        let digits = text.dropFirst()
        return switch text.first {
        case "f": bytes(ofBits: digits, 4, in: Array(hexadecimal.utf8))
        case "F": bytes(ofBits: digits, 4, in: Array(hexadecimal.uppercased().utf8))
        case "b": Base32.decode(digits)
        case "B": bytes(ofBits: digits, 5, in: Array(base32.uppercased().utf8))
        case "k": bytes(ofNumber: digits, in: Array(base36.utf8))
        case "K": bytes(ofNumber: digits, in: Array(base36.uppercased().utf8))
        case "z": Base58.decode(digits)
        default: nil
        }
    }
}

/// Of a text that is one number, whose first digits stand for a zero byte each if they are zeros.
private func bytes(ofNumber text: some StringProtocol, in alphabet: [UInt8]) -> [UInt8]? {
    guard text.utf8.count <= Multibase.lengthLimit else { return nil }
    var number: [UInt8] = []
    for character in text.utf8 {
        guard var carry = alphabet.firstIndex(of: character) else { return nil }
        for index in number.indices {
            carry += Int(number[index]) * alphabet.count
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

/// Of a text with so many bits in a digit, up to five, and no other than zeros beyond the last byte.
private func bytes(ofBits text: some StringProtocol, _ width: Int, in alphabet: [UInt8]) -> [UInt8]? {
    guard text.utf8.count <= Multibase.lengthLimit else { return nil }
    var bytes: [UInt8] = []
    var (bits, count) = (0, 0)
    for character in text.utf8 {
        guard let digit = alphabet.firstIndex(of: character) else { return nil }
        bits = (bits << width | digit) & 0xfff
        count += width
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> count))
        }
    }
    return count < width && bits & (1 << count - 1) == 0 ? bytes : nil
}
