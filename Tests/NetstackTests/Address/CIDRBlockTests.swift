// Blocks made of an address and a length, and what they hold.

import Netstack
import Testing

@Suite struct CIDRBlockTests {
    @Test func isMadeOfTheAddressItBeginsAt() throws {
        let block = try CIDRBlock(.v4(IPv4Address(10, 0, 0, 0)), prefixLength: 8)
        #expect(try block == CIDRBlock("10.0.0.0/8"))
        #expect(try CIDRBlock(IPAddress("fd00::"), prefixLength: 8).description == "fd00::/8")
    }

    @Test(arguments: [
        ("10.0.0.1", 8, "host bits are set; 10.0.0.0/8 is the block that holds it"),
        ("fd00::1", 127, "host bits are set; fd00::/127 is the block that holds it"),
        ("10.0.0.0", 33, "the prefix length is 33, outside of 0…32"),
        ("10.0.0.0", -1, "the prefix length is -1, outside of 0…32"),
        ("::", .max, "the prefix length is 9223372036854775807, outside of 0…128"),
        ("::", .min, "the prefix length is -9223372036854775808, outside of 0…128"),
    ])
    func namesTheFaultOfAnAddressAndALength(_ address: String, _ prefixLength: Int, _ fault: String) throws {
        let text = "\(address)/\(prefixLength)"
        let address = try IPAddress(address)
        #expect(throws: NetstackError.malformed(kind: "a CIDR block", text: text, fault: fault)) {
            try CIDRBlock(address, prefixLength: prefixLength)
        }
    }

    @Test(arguments: [
        ("10.1.2.3", 8, "10.0.0.0/8"), ("10.1.2.3", 0, "0.0.0.0/0"), ("10.1.2.3", 31, "10.1.2.2/31"),
        ("10.1.2.3", 32, "10.1.2.3/32"), ("fd12:3456::1", 8, "fd00::/8"), ("fd12::1", 0, "::/0"),
        ("fd12::1", 128, "fd12::1/128"),
    ])
    func masksTheAddressItContains(_ address: String, _ prefixLength: Int, _ block: String) throws {
        #expect(try CIDRBlock(containing: IPAddress(address), prefixLength: prefixLength).description == block)
    }

    @Test(arguments: [-1, 33, .max, .min])
    func holdsNoAddressByALengthTheVersionLacks(_ prefixLength: Int) {
        #expect(throws: NetstackError.self) { try CIDRBlock(containing: .v4(.loopback), prefixLength: prefixLength) }
    }

    @Test(arguments: [
        "10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/8/8", "/8", "/", "10.0.0.0/99999999999999999999", "10/8", "::%lo/0",
    ])
    func refuses(_ text: String) {
        #expect(throws: NetstackError.self) { try CIDRBlock(text) }
    }

    /// Bit by bit, which is what a prefix means.
    @Test func holdsTheAddressesThatShareItsPrefixAndNoOthers() throws {
        var random = SplitMix64(seed: 4632)
        for _ in 0..<500 {
            let bits = UInt128(random.next()) << 64 | UInt128(random.next())
            let v6 = Bool.random(using: &random)
            let width = v6 ? 128 : 32
            func address(_ bits: UInt128) -> IPAddress {
                v6 ? .v6(IPv6Address(rawValue: bits)) : .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: bits)))
            }
            let length = Int.random(in: 0...width, using: &random)
            let block = try CIDRBlock(containing: address(bits), prefixLength: length)
            #expect(block.contains(address(bits)) && block.contains(block.address) && block.contains(block))
            #expect(try CIDRBlock(block.description) == block)
            for bit in 0..<width {
                let flipped = address(bits ^ 1 << UInt128(width - 1 - bit))
                #expect(block.contains(flipped) == (bit >= length), "\(block) \(flipped)")
                let wider = try CIDRBlock(containing: flipped, prefixLength: bit)
                #expect(wider.contains(block) == (bit <= length), "\(wider) \(block)")
            }
        }
    }

    @Test func holdsNothingOfTheOtherVersion() throws {
        #expect(!CIDRBlock.everyIPv4.contains(.v6(.any)) && !CIDRBlock.everyIPv6.contains(.v4(.any)))
        #expect(!CIDRBlock.everyIPv6.contains(.everyIPv4) && !CIDRBlock.everyIPv4.contains(.everyIPv6))
        #expect(try !CIDRBlock.everyIPv4.contains(IPAddress("::ffff:10.0.0.1")))
    }
}
