// Reading and printing of addresses beside the C library's, on random and on damaged texts.

import Glibc
import Netstack
import Testing

@Suite struct AddressTextTests {
    /// What `inet_pton` reads.
    private func read<Address: BitwiseCopyable>(_ text: String, _ family: CInt, into address: Address) -> Address? {
        var address = address
        return inet_pton(family, text, &address) == 1 ? address : nil
    }

    /// What `inet_ntop` prints.
    private func printed<Address: BitwiseCopyable>(_ address: Address, _ family: CInt) -> String {
        var address = address
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(family, &address, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Groups of zeros, small and mapped addresses are likely.
    private func address(_ random: inout SplitMix64) -> IPv6Address {
        let zeros = UInt8.random(in: .min ... .max, using: &random)
        var value: UInt128 = 0
        for group in 0..<8 {
            let bits = zeros >> group & 1 == 1 ? 0 : UInt16.random(in: 0 ... .max, using: &random)
            value = value << 16 | UInt128(bits >> UInt16.random(in: 0..<16, using: &random))
        }
        switch UInt8.random(in: 0..<8, using: &random) {
        case 0: value = value & 0xffff_ffff | 0xffff << 32
        case 1: value &= 0xffff_ffff
        default: break
        }
        return IPv6Address(rawValue: value)
    }

    @Test func readsBackEachIPv4AddressItPrintsAndPrintsAsTheCLibraryDoes() throws {
        var random = SplitMix64(seed: 791)
        for _ in 0..<10_000 {
            let bits = UInt32.random(in: 0 ... .max, using: &random) & UInt32.random(in: 0 ... .max, using: &random)
            let address = IPv4Address(rawValue: bits)
            #expect(try IPv4Address(address.description) == address)
            #expect(address.description == printed(in_addr(s_addr: bits.bigEndian), AF_INET))
        }
    }

    /// The C library prints ::/96 with an IPv4 tail, a form that RFC 4291 section 2.5.5.1 deprecates with these addresses.
    @Test func readsBackEachIPv6AddressItPrintsAndPrintsAsTheCLibraryDoes() throws {
        var random = SplitMix64(seed: 5952)
        for _ in 0..<10_000 {
            let address = address(&random)
            #expect(try IPv6Address(address.description) == address)
            let theirs = printed(address.rawValue.bigEndian, AF_INET6)
            #expect(try IPv6Address(theirs) == address)
            if address.rawValue >> 32 != 0 { #expect(address.description == theirs) }
        }
    }

    @Test func readsDamagedTextsAsTheCLibraryDoes() {
        var random = SplitMix64(seed: 6943)
        let alphabet = Array("0123456789abcdefABCDEFgx:.:.::%/[]+- ".utf8)
        var (accepted, refused) = (0, 0)
        for _ in 0..<20_000 {
            let v6 = address(&random)
            let v4 = IPv4Address(rawValue: UInt32(truncatingIfNeeded: v6.rawValue))
            var text = Array((Bool.random(using: &random) ? v6.description : v4.description).utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0...text.count, using: &random)
                let byte = alphabet.randomElement(using: &random) ?? 0
                switch UInt8.random(in: 0..<3, using: &random) {
                case 0: text.insert(byte, at: place)
                case 1 where place < text.count: text[place] = byte
                default: if place < text.count { text.remove(at: place) }
                }
            }
            let damaged = String(decoding: text, as: UTF8.self)
            let theirs4 = read(damaged, AF_INET, into: in_addr()).map { UInt32(bigEndian: $0.s_addr) }
            let theirs6 = read(damaged, AF_INET6, into: UInt128.zero).map { UInt128(bigEndian: $0) }
            #expect((try? IPv4Address(damaged))?.rawValue == theirs4, "\(damaged)")
            #expect((try? IPv6Address(damaged))?.rawValue == theirs6, "\(damaged)")
            if theirs4 != nil || theirs6 != nil { accepted += 1 } else { refused += 1 }
        }
        #expect(accepted > 2_000 && refused > 2_000)
    }

    /// `inet_aton` and the C library's resolver take these, and not all read the same address.
    @Test(arguments: ["127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "010.0.0.1", "127.0.0.1 ", "127.0.0.1 x"])
    func refusesLooseFormsThatTheCLibraryTakes(_ text: String) {
        var address = in_addr()
        #expect(inet_aton(text, &address) == 1)
        #expect(throws: NetstackError.self) { try IPAddress(text) }
    }

    /// A C string ends before what follows.
    @Test(arguments: ["10.0.0.1\0", "10.0.0.1\0.evil", "::1\0", "10.0.0.1\u{0660}", "\u{ff11}0.0.0.1", "::\u{ff41}"])
    func refusesWhatIsNotASCIIText(_ text: String) {
        #expect(throws: NetstackError.self) { try IPAddress(text) }
    }

    @Test func readsASliceOfAText() throws {
        let text = "from 10.0.0.1 to fd00::1"
        let words = text.split(separator: " ")
        #expect(try IPAddress(words[1]) == .v4(IPv4Address(10, 0, 0, 1)))
        #expect(try IPAddress(words[3]) == .v6(IPv6Address(rawValue: 0xfd << 120 | 1)))
    }

    @Test func noBytesMakeAParserTrap() {
        var random = SplitMix64(seed: 8)
        for _ in 0..<10_000 {
            let text = String(decoding: random.bytes(Int.random(in: 0..<40, using: &random)), as: UTF8.self)
            _ = try? IPAddress(text)
            _ = try? CIDRBlock(text)
            _ = try? TransportAddress(text)
        }
    }

    @Test(arguments: [
        (String(repeating: "1", count: 100), 100), (String(repeating: "1", count: 101), 101),
        ("1" + String(repeating: "\u{301}", count: 100_000), 101), (String(repeating: ":", count: 100_000), 101),
    ])
    func anErrorShowsAtMostAHundredCharactersOfAText(_ text: String, _ shown: Int) throws {
        let errors = [
            #expect(throws: NetstackError.self) { try IPAddress(text) },
            #expect(throws: NetstackError.self) { try CIDRBlock(text) },
            #expect(throws: NetstackError.self) { try TransportAddress(text) },
        ]
        for error in errors {
            guard case .malformed(_, let cut, let fault) = try #require(error) else {
                Issue.record("another error than a malformed text's")
                return
            }
            #expect(cut.unicodeScalars.count == shown)
            #expect(fault.utf8.count < 100)
        }
    }
}
