// What addresses are for, and how they are ordered.

import Netstack
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("0.0.0.0", true), ("0.0.0.1", false), ("::", true), ("::1", false), ("::ffff:0.0.0.0", true),
        ("::ffff:0.0.0.1", false),
    ])
    func knowsTheUnspecifiedAddress(_ text: String, _ expected: Bool) throws {
        #expect(try IPAddress(text).isUnspecified == expected)
    }

    @Test(arguments: [
        ("126.255.255.255", false), ("127.0.0.0", true), ("127.255.255.255", true), ("128.0.0.0", false), ("::1", true),
        ("::", false), ("::2", false), ("::ffff:127.0.0.1", true), ("::ffff:128.0.0.1", false), ("::127.0.0.1", false),
    ])
    func knowsLoopback(_ text: String, _ expected: Bool) throws {
        #expect(try IPAddress(text).isLoopback == expected)
    }

    @Test(arguments: [
        ("169.253.255.255", false), ("169.254.0.0", true), ("169.254.255.255", true), ("169.255.0.0", false),
        ("fe7f:ffff::", false), ("fe80::", true), ("febf:ffff::1", true), ("fec0::", false),
        ("::ffff:169.254.169.254", true),
    ])
    func knowsLinkLocal(_ text: String, _ expected: Bool) throws {
        #expect(try IPAddress(text).isLinkLocal == expected)
    }

    @Test(arguments: [
        ("223.255.255.255", false), ("224.0.0.0", true), ("239.255.255.255", true), ("240.0.0.0", false),
        ("feff::", false),
        ("ff00::", true), ("ff02::1", true), ("::ffff:224.0.0.1", true), ("::ffff:192.0.2.1", false),
    ])
    func knowsMulticast(_ text: String, _ expected: Bool) throws {
        #expect(try IPAddress(text).isMulticast == expected)
    }

    @Test(arguments: [
        ("255.255.255.255", true), ("255.255.255.254", false), ("10.255.255.255", false),
        ("::ffff:255.255.255.255", true),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
    ])
    func knowsTheLimitedBroadcastAddress(_ text: String, _ expected: Bool) throws {
        #expect(try IPAddress(text).isBroadcast == expected)
    }

    @Test func findsTheIPv4AddressInAnIPv4MappedOneOnly() throws {
        #expect(try IPv6Address("::ffff:192.0.2.1").embeddedIPv4 == IPv4Address(192, 0, 2, 1))
        for text in ["::192.0.2.1", "::fffe:192.0.2.1", "::1:ffff:192.0.2.1", "64:ff9b::192.0.2.1", "::"] {
            #expect(try IPv6Address(text).embeddedIPv4 == nil)
        }
    }

    @Test func aMappedAddressIsAnsweredForAsTheEmbeddedOne() throws {
        var random = SplitMix64(seed: 4942)
        for _ in 0..<5_000 {
            // First bytes at which an answer changes must be likely.
            let first =
                [0, 127, 169, 224, 239, 255, UInt8.random(in: 0...255, using: &random)]
                .randomElement(using: &random) ?? 0
            let rest = UInt32.random(in: 0..<1 << 24, using: &random)
            let v4 = IPv4Address(rawValue: UInt32(first) << 24 | rest)
            let v6 = try IPv6Address("::ffff:\(v4)")
            #expect(v6.isUnspecified == v4.isUnspecified && v6.isLoopback == v4.isLoopback)
            #expect(v6.isLinkLocal == v4.isLinkLocal && v6.isMulticast == v4.isMulticast)
            #expect(v6.isBroadcast == v4.isBroadcast && IPAddress.v6(v6).whyNotUnicast != nil)
        }
    }

    @Test func ordersByVersionThenByNumber() throws {
        let sorted = ["0.0.0.0", "9.255.255.255", "10.0.0.0", "255.255.255.255", "::", "::1", "1::", "ffff::"]
        let addresses = try sorted.map { try IPAddress($0) }
        #expect(addresses.reversed().sorted() == addresses)
        #expect(addresses.map(\.version) == [.v4, .v4, .v4, .v4, .v6, .v6, .v6, .v6])
    }
}
