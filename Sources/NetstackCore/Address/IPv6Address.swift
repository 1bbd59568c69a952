// An IPv6 address and its text form.

/// An IPv6 address (RFC 4291).
public struct IPv6Address: Hashable, Sendable {
    // Two halves, for Swift 6.3 crashes in debug builds where an enum with a UInt128 is a parameter: it keeps it at a
    // multiple of 8 bytes and loads it as if that were one of 16.
    private let high: UInt64
    private let low: UInt64

    /// The address whose first byte is the number's highest.
    public init(rawValue: UInt128) {
        high = UInt64(truncatingIfNeeded: rawValue >> 64)
        low = UInt64(truncatingIfNeeded: rawValue)
    }

    /// The 128 bits, most significant first.
    public var rawValue: UInt128 { UInt128(high) << 64 | UInt128(low) }

    /// ::
    public static let any = IPv6Address(rawValue: 0)
    /// ::1
    public static let loopback = IPv6Address(rawValue: 1)

    /// Parses the forms of RFC 4291 section 2.2: eight groups, `::` for zeros, an IPv4 address at the end.
    ///
    /// A zone (`%eth0`) is a fault: a stack's NICs are chosen by routes.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(Array(text.utf8))
        } catch {
            throw .malformed(kind: "an IPv6 address", text, fault: error)
        }
    }

    static func parse(_ text: [UInt8]) throws(TextFault) -> IPv6Address {
        if text.contains(UInt8(ascii: "%")) { throw TextFault("zones are not supported") }
        let colon = UInt8(ascii: ":")
        // Empty items between colons: `::` gives one inside, and two at the beginning or the end.
        let items = text.split(separator: colon, omittingEmptySubsequences: false)
        guard items.count >= 3 else { throw TextFault("it has fewer than two colons") }
        var groups: [UInt16] = []
        var gap: Int?
        for (index, item) in items.enumerated() {
            if item.isEmpty {
                let atStart = index == 0 && items[1].isEmpty
                let atEnd = index == items.count - 1 && items[index - 1].isEmpty
                if atStart || atEnd { continue }
                guard index > 0, index < items.count - 1 else {
                    throw TextFault("it begins or ends with a single colon")
                }
                guard gap == nil else { throw TextFault("\"::\" stands in it twice") }
                gap = groups.count
            } else if item.contains(UInt8(ascii: ".")) {
                guard index == items.count - 1 else { throw TextFault("an IPv4 address stands before its end") }
                let tail = try IPv4Address.parse(item).rawValue
                groups += [UInt16(truncatingIfNeeded: tail >> 16), UInt16(truncatingIfNeeded: tail)]
            } else {
                guard item.count <= 4, let group = UInt16(hexadecimal: item) else {
                    throw TextFault("group \(groups.count + 1) is not one to four hexadecimal digits")
                }
                groups.append(group)
            }
            guard groups.count <= 8 else { throw TextFault("it has more than 8 groups") }
        }
        if let gap {
            guard groups.count < 8 else { throw TextFault("\"::\" stands for no group in it") }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { throw TextFault("it has \(groups.count) of 8 groups") }
        return IPv6Address(rawValue: groups.reduce(0) { $0 << 16 | UInt128($1) })
    }

    /// The IPv4 address in an IPv4-mapped one, ::ffff:0:0/96 (RFC 4291 section 2.5.5.2).
    ///
    /// A socket of the host reaches the embedded address by it. So all that is asked of such an address is answered for
    /// the embedded one, lest a peer gets to 127.0.0.1 as ::ffff:127.0.0.1.
    public var embeddedIPv4: IPv4Address? {
        rawValue >> 32 == 0xffff ? IPv4Address(rawValue: UInt32(truncatingIfNeeded: rawValue)) : nil
    }

    /// ::
    public var isUnspecified: Bool { embeddedIPv4?.isUnspecified ?? (rawValue == 0) }
    /// ::1
    public var isLoopback: Bool { embeddedIPv4?.isLoopback ?? (rawValue == 1) }
    /// ff00::/8
    public var isMulticast: Bool { embeddedIPv4?.isMulticast ?? (rawValue >> 120 == 0xff) }
    /// fe80::/10
    public var isLinkLocal: Bool { embeddedIPv4?.isLinkLocal ?? (rawValue >> 118 == 0x3fa) }
    /// Only of an IPv4-mapped address: IPv6 has no broadcast.
    public var isBroadcast: Bool { embeddedIPv4?.isBroadcast ?? false }

    /// Why no packet between two hosts can carry this address; nil when it can.
    var whyNotUnicast: String? {
        if rawValue == 0 { return "it is the unspecified address" }
        if isLoopback { return "it is a loopback address" }
        if isMulticast { return "it is a multicast address" }
        // RFC 4942 section 2.2: a packet with one would slip past rules made for IPv4.
        if embeddedIPv4 != nil { return "IPv4-mapped addresses stand in no packet" }
        return nil
    }
}

extension UInt16 {
    fileprivate init?(hexadecimal text: ArraySlice<UInt8>) {
        self = 0
        for byte in text {
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 0x80 else { return nil }
            self = self << 4 | UInt16(digit)
        }
    }
}

extension IPv6Address: Comparable, CustomStringConvertible {
    public static func < (a: IPv6Address, b: IPv6Address) -> Bool { a.rawValue < b.rawValue }

    /// The form of RFC 5952: lower case, no leading zeros, `::` for the first longest run of two or more zero groups.
    public var description: String {
        if let embeddedIPv4 { return "::ffff:\(embeddedIPv4)" }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: rawValue >> UInt128(112 - 16 * $0)) }
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        func text(_ groups: ArraySlice<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard longest.count >= 2 else { return text(groups[...]) }
        return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
    }
}
