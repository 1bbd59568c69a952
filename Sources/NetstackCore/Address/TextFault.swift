// What is wrong with a text that should be an address, and the parsing that addresses share.

/// A fault in a text, in words that follow "is not an address: ".
package struct TextFault: Error {
    let description: String

    package init(_ description: String) { self.description = description }

    /// A decimal number without sign or leading zeros, at most `limit`.
    static func decimal(_ text: some Collection<UInt8>, limit: Int, _ name: String) throws(TextFault) -> Int {
        guard let first = text.first else { throw TextFault("\(name) is empty") }
        guard first != UInt8(ascii: "0") || text.count == 1 else { throw TextFault("\(name) has a leading zero") }
        var value = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else {
                throw TextFault("\(name) has a character that is not a digit")
            }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            // No limit is near it, and more digits must neither overflow nor fill the error.
            guard value <= 999_999_999 else { throw TextFault("\(name) is above \(limit)") }
        }
        guard value <= limit else { throw TextFault("\(name) is \(value), above \(limit)") }
        return value
    }
}

extension NetstackError {
    package static func malformed(kind: String, _ text: some StringProtocol, fault: TextFault) -> NetstackError {
        // Whoever sent the text may have sent a lot of it, even within one Character: count Unicode scalars.
        let scalars = text.unicodeScalars
        let end = scalars.index(scalars.startIndex, offsetBy: 100, limitedBy: scalars.endIndex) ?? scalars.endIndex
        let shown = String(text[..<end]) + (end == scalars.endIndex ? "" : "…")
        return .malformed(kind: kind, text: shown, fault: fault.description)
    }
}
