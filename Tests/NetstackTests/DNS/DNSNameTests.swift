// Domain names: text, bytes, and what is told from them.

import Netstack
import Testing

@Suite struct DNSNameTests {
    /// The datagram of RFC 1035 section 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
    private static let example =
        [UInt8](repeating: 0xff, count: 20) + hex("0146034953490441525041" + "00") + [UInt8](repeating: 0xff, count: 8)
        + hex("03464f4fc014") + [UInt8](repeating: 0xff, count: 18) + hex("c01a") + [UInt8](repeating: 0xff, count: 26)
        + [0]

    @Test(arguments: [(20, "F.ISI.ARPA", 32), (40, "FOO.F.ISI.ARPA", 46), (64, "ARPA", 66), (92, ".", 93)])
    func readsTheExampleOfRFC1035(_ start: Int, _ text: String, _ end: Int) throws {
        var offset = start
        let name = try DNSName.read(Self.example.span.bytes, at: &offset)
        #expect(name.description == text)
        #expect(offset == end)
    }

    /// Else each of a message's records could make a walk through all of it.
    @Test(arguments: [(127, true), (128, false)])
    func noMorePointersAreFollowedThanANameHasLabels(_ count: Int, _ isName: Bool) throws {
        var message = [UInt8](repeating: 0, count: 13)
        for index in 0..<count { message += hex(String(0xc000 | (index == 0 ? 12 : 13 + 2 * (index - 1)), radix: 16)) }
        var offset = message.count - 2
        if isName {
            let name = try DNSName.read(message.span.bytes, at: &offset)
            #expect(name.description == ".")
        } else {
            #expect(throws: DNSFault.pointer) { _ = try DNSName.read(message.span.bytes, at: &offset) }
        }
    }

    @Test(arguments: [
        ("c00c", DNSFault.pointer), ("0161c00c", .pointer), ("c00e0161c00c", .pointer), ("c000", .pointer),
        ("c0ff", .pointer), ("c0", .truncated), ("05616263", .truncated), ("0161", .truncated), ("", .truncated),
        ("4161", .labelType), ("8161", .labelType),
    ])
    func refusesBytesThatAreNoName(_ bytes: String, _ fault: DNSFault) {
        let message = [UInt8](repeating: 0, count: 12) + hex(bytes)
        #expect(throws: fault) {
            var offset = 12
            _ = try DNSName.read(message.span.bytes, at: &offset)
        }
    }

    @Test func refusesALoopOfPointers() {
        // 12: a, to 16; 16: b, to 12.
        let message = [UInt8](repeating: 0, count: 12) + hex("0161c010" + "0162c00c")
        #expect(throws: DNSFault.pointer) {
            var offset = 16
            _ = try DNSName.read(message.span.bytes, at: &offset)
        }
    }

    @Test func readsNamesOf255BytesAndNoLonger() throws {
        let label = [63] + [UInt8](repeating: 0x61, count: 63)
        let prefix = [UInt8](repeating: 0, count: 12) + label + label + label
        for (last, fits) in [(61, true), (62, false)] {
            let message = prefix + [UInt8(last)] + [UInt8](repeating: 0x62, count: last) + [0]
            var offset = 12
            let name = try? DNSName.read(message.span.bytes, at: &offset)
            #expect((name != nil) == fits)
            #expect(name?.wire.count == (fits ? 255 : nil))
            let text = String(repeating: String(repeating: "a", count: 63) + ".", count: 3)
            #expect(((try? DNSName(text + String(repeating: "b", count: last))) != nil) == fits)
        }
    }

    /// Pointers make a name longer than the bytes it takes.
    @Test func refusesANameThatPointersMakeTooLong() {
        var message = [UInt8](repeating: 0, count: 12) + [63] + [UInt8](repeating: 0x61, count: 63) + [0]
        var start = 12
        for _ in 0..<4 {
            let next = message.count
            message += [63] + [UInt8](repeating: 0x61, count: 63) + [0xc0 | UInt8(start >> 8), UInt8(start & 255)]
            start = next
        }
        #expect(throws: DNSFault.nameLength) {
            var offset = start
            _ = try DNSName.read(message.span.bytes, at: &offset)
        }
    }

    @Test(arguments: ["", "..", ".a", "a..b", "a b", "ä.example", "a\\.b", String(repeating: "a", count: 64)])
    func refusesTextThatIsNoName(_ text: String) {
        #expect(throws: NetstackError.self) { try DNSName(text) }
    }

    @Test func comparesNamesWithoutTheirCase() throws {
        #expect(try DNSName("Example.COM") == DNSName("example.com."))
        #expect(try Set([DNSName("A.b"), DNSName("a.B")]).count == 1)
        #expect(try DNSName("a.b") != DNSName("ab"))
        #expect(try DNSName("Www.Example.COM").isWithin("example.com"))
        #expect(try DNSName("example.com").isWithin("example.com"))
        #expect(try !DNSName("badexample.com").isWithin("example.com"))
        #expect(try !DNSName("com").isWithin("example.com"))
    }

    @Test func escapesWhatIsNoPlainText() throws {
        let message = [UInt8](repeating: 0, count: 12) + hex("05612e5c07ff0162" + "00")
        var offset = 12
        let name = try DNSName.read(message.span.bytes, at: &offset)
        #expect(name.description == #"a\.\\\007\255.b"#)
        #expect(!name.isHostName)
    }

    @Test(arguments: [
        ("example.com", true), ("a-b.c_d", true), ("localhost", true), ("3com.example", true), ("x1", true),
        ("example.1a", true), ("1.2.3", false), ("127.1", false), ("1", false), ("0x7f000001", false),
        ("a.0x1", false), ("a.0x", false), ("0xyz", true), ("-a.b", false), ("a-.b", false), ("a,b", false),
        ("a%b", false), (".", false),
    ])
    func tellsHostNames(_ text: String, _ isHostName: Bool) throws {
        #expect(try DNSName(text).isHostName == isHostName)
    }

    @Test(
        arguments: [
            ("4.3.2.1.in-addr.arpa", "1.2.3.4"), ("1.0.0.127.IN-ADDR.ARPA", "127.0.0.1"),
            // RFC 3596 section 2.5
            (
                "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
                "4321:0:1:2:3:4:567:89ab"
            ),
            ("3.2.1.in-addr.arpa", nil), ("04.3.2.1.in-addr.arpa", nil), ("256.3.2.1.in-addr.arpa", nil),
            ("a.4.3.2.1.in-addr.arpa", nil), ("4.3.2.1.in-addr.example", nil), ("1.ip6.arpa", nil),
            ("g.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa", nil),
        ] as [(String, String?)])
    func findsTheAddressInAReverseName(_ text: String, _ address: String?) throws {
        #expect(try DNSName(text).reverseAddress == address.map { try IPAddress($0) })
    }
}
