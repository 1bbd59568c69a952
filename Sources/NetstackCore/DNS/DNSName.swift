// Domain names: their text, their bytes, and what can be told from them.

import NIOCore

/// A domain name (RFC 1035 section 3.1). Names that differ in the case of ASCII letters are equal (RFC 4343).
package struct DNSName: Sendable {
    /// The longest name and the longest label in bytes (RFC 1035 section 2.3.4).
    static let maximumLength = 255
    static let maximumLabelLength = 63

    package static let root = DNSName(wire: [0])

    /// The labels, each after its length, to the empty one of the root. Letters are as they came: an answer repeats the
    /// question's bytes.
    package let wire: [UInt8]

    private init(wire: [UInt8]) { self.wire = wire }

    /// Parses labels between dots, of printable ASCII. A dot at the end changes nothing.
    ///
    /// - Throws: `NetstackError.malformed`.
    package init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(text.utf8)
        } catch {
            throw .malformed(kind: "a domain name", text, fault: error)
        }
    }

    static func parse(_ text: some Collection<UInt8>) throws(TextFault) -> DNSName {
        var labels = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard !text.isEmpty else { throw TextFault("it is empty") }
        if labels.last?.isEmpty == true { labels.removeLast() }
        // The root's own text: a dot.
        if labels.count == 1, labels[0].isEmpty { return .root }
        var wire: [UInt8] = []
        for (index, label) in labels.enumerated() {
            guard !label.isEmpty else { throw TextFault("label \(index + 1) is empty") }
            guard label.count <= maximumLabelLength, let length = UInt8(exactly: label.count) else {
                throw TextFault("label \(index + 1) is longer than \(maximumLabelLength) bytes")
            }
            guard label.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\\") }) else {
                throw TextFault("label \(index + 1) has a character that is not plain ASCII")
            }
            wire.append(length)
            wire += label
            guard wire.count < maximumLength else { throw TextFault("it is longer than \(maximumLength) bytes") }
        }
        return DNSName(wire: wire + [0])
    }

    /// Reads a name, compressed or not, and moves `offset` to what follows it.
    package static func read(_ message: RawSpan, at offset: inout Int) throws(DNSFault) -> DNSName {
        var wire: [UInt8] = []
        var position = offset
        // Where to go on after the name: what follows the first pointer, if there is one.
        var next: Int?
        // Each pointer leads to before where the last one has led: so there is an end. It comes soon: a name has no more
        // labels than this, and chains of pointers alone would cost a message its square.
        var bound = offset
        var pointersLeft = maximumLength / 2
        while true {
            guard position < message.byteCount else { throw .truncated }
            let length = Int(message.uint8(at: position))
            switch length >> 6 {
            case 0:
                let end = position + 1 + length
                guard end <= message.byteCount else { throw .truncated }
                guard wire.count + 1 + length + (length > 0 ? 1 : 0) <= maximumLength else { throw .nameLength }
                for index in position..<end { wire.append(message.uint8(at: index)) }
                position = end
                if length == 0 {
                    offset = next ?? position
                    return DNSName(wire: wire)
                }
            case 3:
                guard position + 2 <= message.byteCount else { throw .truncated }
                let target = Int(message.uint16(at: position) & 0x3fff)
                guard target >= DNSHeader.length, target < bound, pointersLeft > 0 else { throw .pointer }
                pointersLeft -= 1
                next = next ?? position + 2
                bound = target
                position = target
            default:
                throw .labelType
            }
        }
    }

    /// The labels from the first to the last, without the root's.
    package var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var rest = wire[...]
        while let length = rest.popFirst(), length > 0 {
            labels.append(rest.prefix(Int(length)))
            rest = rest.dropFirst(Int(length))
        }
        return labels
    }

    /// Whether it is `parent` or a name below that.
    package func isWithin(_ parent: String) -> Bool {
        guard let parent = try? DNSName(parent) else { return false }
        let (own, suffix) = (folded.labels, parent.folded.labels)
        return own.count >= suffix.count && own.suffix(suffix.count).elementsEqual(suffix) { $0.elementsEqual($1) }
    }

    /// Whether it can be a host's: letters, digits, hyphens and, for they occur, underscores (RFC 1123 section 2.1).
    ///
    /// A name that ends with a number can't: readers of addresses take "127.1" and "0x7f000001" for some.
    package var isHostName: Bool {
        let labels = labels
        guard let last = labels.last, let first = last.first, !UInt8.isDigit(first) || !last.isNumber else {
            return false
        }
        return labels.allSatisfy { label in
            label.allSatisfy { UInt8.isDigit($0) || UInt8.isLetter($0) || $0 == 0x2d || $0 == 0x5f }
                && label.first != 0x2d && label.last != 0x2d
        }
    }

    /// The same in lower case.
    private var folded: DNSName {
        // A length is at most 63, which is no letter.
        DNSName(wire: wire.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 })
    }
}

extension DNSName: Hashable {
    package static func == (a: DNSName, b: DNSName) -> Bool {
        a.wire == b.wire || a.wire.count == b.wire.count && a.folded.wire == b.folded.wire
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(folded.wire) }
}

extension DNSName: CustomStringConvertible {
    /// The text without a dot at the end, special characters escaped (RFC 1035 section 5.1).
    package var description: String {
        if wire.count <= 1 { return "." }
        return labels.map { label in
            label.map { byte in
                switch byte {
                case UInt8(ascii: "."), UInt8(ascii: "\\"): "\\" + String(UnicodeScalar(byte))
                case 0x21...0x7e: String(UnicodeScalar(byte))
                default: "\\" + String(repeating: "0", count: byte < 10 ? 2 : byte < 100 ? 1 : 0) + "\(byte)"
                }
            }.joined()
        }.joined(separator: ".")
    }
}

extension UInt8 {
    fileprivate static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    fileprivate static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
}

extension ArraySlice<UInt8> {
    /// Whether `inet_aton` would take it for a number: decimal, octal or hexadecimal.
    fileprivate var isNumber: Bool {
        if allSatisfy(UInt8.isDigit) { return true }
        return starts(with: [0x30, 0x78]) || starts(with: [0x30, 0x58])
            ? dropFirst(2).allSatisfy { UInt8.isDigit($0) || (0x61...0x66).contains($0 | 0x20) } : false
    }
}
