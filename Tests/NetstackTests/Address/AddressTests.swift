// The text forms of addresses, against tables.

import NIOCore
import Netstack
import Testing

@Suite struct AddressTests {
    @Test(arguments: ["0.0.0.0", "10.0.0.1", "127.0.0.1", "255.255.255.255"])
    func printsIPv4AsItReadsIt(_ text: String) throws {
        #expect(try IPv4Address(text).description == text)
        #expect(try IPAddress(text).description == text)
    }

    @Test(arguments: [
        ("", "it has 1 of 4 parts"), ("1.2.3", "it has 3 of 4 parts"), ("1.2.3.4.5", "it has 5 of 4 parts"),
        ("1.2.3.256", "part 4 is 256, above 255"), ("1..3.4", "part 2 is empty"),
        ("01.2.3.4", "part 1 has a leading zero"),
        ("1.2.3.-4", "part 4 has a character that is not a digit"),
        ("1.2.3.4 ", "part 4 has a character that is not a digit"),
        ("99999999999999999999.1.1.1", "part 1 is above 255"),
    ])
    func namesTheFaultOfAnIPv4Address(_ text: String, _ fault: String) {
        #expect(throws: NetstackError.malformed(kind: "an IPv4 address", text: text, fault: fault)) {
            try IPv4Address(text)
        }
    }

    /// RFC 5952 sections 4 and 5.
    @Test(arguments: [
        ("2001:0db8::0001", "2001:db8::1"), ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:DB8::A", "2001:db8::a"), ("0:0:0:0:0:0:0:0", "::"),
        ("::1", "::1"), ("1::", "1::"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("fe80::1", "fe80::1"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ])
    func printsIPv6InTheRecommendedForm(_ text: String, _ printed: String) throws {
        #expect(try IPv6Address(text).description == printed)
    }

    @Test(arguments: [
        ("", "it has fewer than two colons"), (":", "it has fewer than two colons"),
        (":::", "\"::\" stands in it twice"), ("1::2::3", "\"::\" stands in it twice"),
        ("1:2:3:4:5:6:7", "it has 7 of 8 groups"), ("1:2:3:4:5:6:7:8:9", "it has more than 8 groups"),
        ("1:2:3:4:5:6:7:8::", "\"::\" stands for no group in it"),
        ("12345::", "group 1 is not one to four hexadecimal digits"),
        ("g::", "group 1 is not one to four hexadecimal digits"),
        (":1:2:3:4:5:6:7", "it begins or ends with a single colon"),
        ("1:2:3:4:5:6:7:", "it begins or ends with a single colon"), ("fe80::1%eth0", "zones are not supported"),
        ("1.2.3.4::", "an IPv4 address stands before its end"), ("::1.2.3", "it has 3 of 4 parts"),
    ])
    func namesTheFaultOfAnIPv6Address(_ text: String, _ fault: String) {
        #expect(throws: NetstackError.malformed(kind: "an IPv6 address", text: text, fault: fault)) {
            try IPv6Address(text)
        }
    }

    @Test func knowsWhatAnAddressIsFor() throws {
        #expect(try IPAddress("127.9.9.9").isLoopback)
        #expect(try IPAddress("::1").isLoopback)
        #expect(try IPAddress("::ffff:127.0.0.1").isLoopback)
        #expect(try IPAddress("169.254.169.254").isLinkLocal)
        #expect(try IPAddress("fe80::1").isLinkLocal)
        #expect(try IPAddress("239.1.1.1").isMulticast)
        #expect(try IPAddress("ff02::1").isMulticast)
        #expect(try !IPAddress("10.0.0.1").isLoopback)
    }

    @Test func blocksHoldWhatSharesTheirPrefix() throws {
        let ten = try CIDRBlock("10.0.0.0/8")
        #expect(ten.contains(try IPAddress("10.255.255.255")))
        #expect(!ten.contains(try IPAddress("11.0.0.0")))
        #expect(!ten.contains(try IPAddress("::10.0.0.1")))
        #expect(ten.contains(try CIDRBlock("10.1.0.0/16")))
        #expect(!(try CIDRBlock("10.1.0.0/16")).contains(ten))
        #expect(CIDRBlock.everyIPv6.contains(try IPAddress("ffff::")))
        #expect(try CIDRBlock("fd00::/8").contains(try IPAddress("fdff::1")))
        #expect(try CIDRBlock("192.168.1.1").description == "192.168.1.1/32")
        #expect(try CIDRBlock("::1").prefixLength == 128)
        #expect(
            try [CIDRBlock("::/0"), CIDRBlock("10.0.0.0/8"), CIDRBlock("10.0.0.0/16"), CIDRBlock("9.0.0.0/8")].sorted()
                .map(\.description) == ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "::/0"])
    }

    @Test(arguments: [
        ("10.0.0.0/33", "the prefix length is 33, above 32"), ("::/129", "the prefix length is 129, above 128"),
        ("10.0.0.0/", "the prefix length is empty"), ("10.0.0.0/08", "the prefix length has a leading zero"),
        ("10.0.0.0/+8", "the prefix length has a character that is not a digit"),
        ("10.0.0.1/8", "host bits are set; 10.0.0.0/8 is the block that holds it"),
        ("example/8", "it has 1 of 4 parts"),
    ])
    func namesTheFaultOfABlock(_ text: String, _ fault: String) {
        #expect(throws: NetstackError.malformed(kind: "a CIDR block", text: text, fault: fault)) { try CIDRBlock(text) }
    }

    @Test(arguments: ["10.0.0.1:80", "[fd00::1]:443", "0.0.0.0:0", "[::]:65535"])
    func printsAddressesWithPortsAsItReadsThem(_ text: String) throws {
        let address = try TransportAddress(text)
        #expect(address.description == text)
        #expect(try TransportAddress(address.socketAddress()) == address)
    }

    @Test(arguments: [
        ("10.0.0.1", "the port is missing"), ("10.0.0.1:65536", "the port is 65536, above 65535"),
        ("fd00::1:443", "an IPv6 address with a port needs brackets, as in [::1]:80"),
        ("[10.0.0.1]:80", "only IPv6 addresses stand in brackets"), ("10.0.0.1:", "the port is empty"),
    ])
    func namesTheFaultOfAnAddressWithAPort(_ text: String, _ fault: String) {
        #expect(throws: NetstackError.malformed(kind: "an address with a port", text: text, fault: fault)) {
            try TransportAddress(text)
        }
    }

    @Test func aLongTextIsCutInItsError() {
        let error = #expect(throws: NetstackError.self) { try IPAddress(String(repeating: "9", count: 5000)) }
        #expect((error?.description.count ?? 0) < 200)
    }
}
