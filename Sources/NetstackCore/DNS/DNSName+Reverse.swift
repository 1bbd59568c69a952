// The names under which the names of addresses are found.

extension DNSName {
    /// The address whose name is asked for by this name: d.c.b.a.in-addr.arpa (RFC 1035 section 3.5), or 32 digits of
    /// ip6.arpa (RFC 3596 section 2.5). Nil for all other names.
    package var reverseAddress: IPAddress? {
        let labels = labels
        if labels.count == 6, isWithin("in-addr.arpa") {
            let text = labels.prefix(4).reversed().joined(separator: [UInt8(ascii: ".")])
            return (try? IPv4Address.parse(Array(text))).map { .v4($0) }
        }
        guard labels.count == 34, isWithin("ip6.arpa") else { return nil }
        var value: UInt128 = 0
        for label in labels.prefix(32).reversed() {
            guard label.count == 1, let byte = label.first, byte < 0x80,
                let digit = Character(UnicodeScalar(byte)).hexDigitValue
            else { return nil }
            value = value << 4 | UInt128(digit)
        }
        return .v6(IPv6Address(rawValue: value))
    }
}
