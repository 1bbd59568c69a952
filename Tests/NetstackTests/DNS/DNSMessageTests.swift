// DNS messages, read and written.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct DNSMessageTests {
    /// What dnspython 2.3.0 makes of `make_query("www.Example.com", "AAAA", payload=1232, want_dnssec=True)`.
    private static let query = hex(
        "12340100000100000000000103777777074578616d706c6503636f6d00001c000100002904d0000080000000")
    /// And of its answer: an alias, two addresses, an MX, an NS with its address, all names compressed, and OPT.
    private static let response = hex(
        "12348180000100040001000203777777074578616d706c6503636f6d00001c0001c00c000500010000012c000603776562c010c02d001c"
            + "00010000003c001020010db8000000000000000000000001c02d001c00010000003c001020010db80000000000000000000000"
            + "02c02d000f00010000003c0009000a046d61696cc010c0100002000100000e100005026e73c010c08c0001000100000e100004"
            + "c00002010000292000000000000000")
    /// And of an answer with the response code BADVERS.
    private static let badVersion = hex(
        "12348100000100000000000103777777074578616d706c6503636f6d00001c00010000292000010000000000")

    private func parse(_ bytes: [UInt8]) throws(DNSFault) -> DNSMessage { try DNSMessage(parsing: bytes.span.bytes) }

    private func bytes(_ message: DNSMessage, limit: Int = DNSMessage.maximumLength) -> [UInt8] {
        Array(message.encoded(limit: limit).readableBytesView)
    }

    @Test func writesWhatDnspythonWrites() throws {
        var query = DNSMessage(
            id: 0x1234, flags: .recursionDesired, question: DNSQuestion(try DNSName("www.Example.com"), .aaaa))
        query.edns = EDNS(payloadSize: 1232, dnssecOK: true)
        #expect(bytes(query) == Self.query)
        #expect(try parse(Self.query) == query)
    }

    @Test func readsWhatDnspythonWrites() throws {
        let message = try parse(Self.response)
        #expect(message.id == 0x1234)
        #expect(message.flags == [.response, .recursionDesired, .recursionAvailable])
        #expect(message.question == DNSQuestion(try DNSName("www.example.com"), .aaaa))
        #expect(message.edns == EDNS(payloadSize: 8192))
        let web = try DNSName("web.example.com")
        #expect(message.answers.count == 4)
        #expect(
            try Array(message.answers.prefix(3)) == [
                DNSRecord(DNSName("www.example.com"), timeToLive: 300, .cname(web)),
                DNSRecord(web, timeToLive: 60, .aaaa(IPv6Address("2001:db8::1"))),
                DNSRecord(web, timeToLive: 60, .aaaa(IPv6Address("2001:db8::2"))),
            ])
        #expect(message.answers.last?.type == DNSRecordType(rawValue: 15))
        #expect(try parse(Self.badVersion).responseCode == .badVersion)
    }

    @Test func readsAgainWhatItHasWritten() throws {
        let name = try DNSName("a.example")
        var message = DNSMessage(id: 7, flags: [.response, .checkingDisabled], question: DNSQuestion(name, .a))
        message.answers = try [
            DNSRecord(name, timeToLive: 1, .cname(DNSName("b.example"))),
            DNSRecord(DNSName("b.example"), timeToLive: 2, .a(IPv4Address("192.0.2.1"))),
            DNSRecord(.root, timeToLive: 3, .ptr(DNSName("c.example"))),
            DNSRecord(name, timeToLive: 4, .aaaa(IPv6Address("2001:db8::1"))),
            DNSRecord(
                name, timeToLive: 5, .other(DNSRecordType(rawValue: 16), class: 1, ByteBuffer(string: "\u{2}hi"))),
            DNSRecord(name, timeToLive: 6, .other(.a, class: 3, ByteBuffer(string: "chaos"))),
        ]
        #expect(try parse(bytes(message)) == message)
        message.edns = EDNS(payloadSize: 4096, version: 1, dnssecOK: true)
        message.responseCode = .badVersion
        #expect(try parse(bytes(message)) == message)
    }

    @Test func leavesOutAllAnswersWhereTheyDoNotFit() throws {
        let name = try DNSName("many.example")
        var message = DNSMessage(id: 1, flags: .response, question: DNSQuestion(name, .a))
        message.edns = EDNS()
        message.answers = (0..<100).map { DNSRecord(name, timeToLive: 1, .a(IPv4Address(rawValue: $0))) }
        let short = try parse(bytes(message, limit: 512))
        #expect(short.flags == [.response, .truncated])
        #expect(short.answers.isEmpty)
        #expect(short.question == message.question)
        #expect(short.edns == message.edns)
        #expect(try parse(bytes(message)) == message)
        // More than TCP can carry.
        message.answers = (0..<5000).map { DNSRecord(name, timeToLive: 1, .a(IPv4Address(rawValue: $0))) }
        #expect(try parse(bytes(message)).flags.contains(.truncated))
        message.answers = [DNSRecord(name, timeToLive: 1, .other(.ptr, class: 9, pattern(70_000)))]
        #expect(try parse(bytes(message)).flags.contains(.truncated))
    }

    @Test func refusesWhatIsNoMessage() throws {
        let header = "1234010000010000000000"
        for (text, fault) in [
            ("", DNSFault.truncated), ("123401000001000000000", .truncated), (header + "00", .truncated),
            (header + "000000", .truncated),
            // Two questions.
            ("123401000002000000000000" + "0000010001" + "0000010001", .questions),
            // An answer that is missing, and one whose data are.
            ("123481000000000100000000", .truncated),
            ("123481000000000100000000" + "00000100010000000000047f", .truncated),
            // Addresses of five bytes and of four; an alias that ends before its data do.
            ("123481000000000100000000" + "0000010001000000000005" + "7f00000101", .recordData),
            ("123481000000000100000000" + "00001c0001000000000004" + "7f000001", .recordData),
            ("123481000000000100000000" + "0000050001000000000002" + "0000", .recordData),
            // OPT among the answers, twice, and under a name.
            ("123481000000000100000000" + "0000290200000000000000", .options),
            ("123401000000000000000002" + "0000290200000000000000" + "0000290200000000000000", .options),
            ("123401000000000000000001" + "0161000029020000000000" + "0000", .options),
        ] {
            let digits = text.count.isMultiple(of: 2) ? text : text + "0"
            let message = text.count == 21 ? Array(hex(digits).dropLast()) : hex(digits)
            #expect(throws: fault, "\(text)") { try parse(message) }
        }
    }

    @Test func takesATimeWithTheHighestBitForNone() throws {
        let message = try parse(hex("123481000000000100000000" + "00000100018000000000047f000001"))
        #expect(message.answers.first?.timeToLive == 0)
    }

    @Test func bytesNeverTrap() {
        var random = SplitMix64(seed: 1035)
        var accepted = 0
        for _ in 0..<50_000 {
            var message = [Self.query, Self.response, Self.badVersion].randomElement(using: &random) ?? []
            for _ in 0...Int.random(in: 0...3, using: &random) {
                message[Int.random(in: message.indices, using: &random)] = .random(in: 0 ... .max, using: &random)
            }
            if Bool.random(using: &random) {
                message.removeLast(Int.random(in: 0..<message.count, using: &random))
            }
            guard let parsed = try? parse(message) else { continue }
            accepted += 1
            _ = parsed.encoded(limit: 512)
            _ = parsed.question.map { ($0.name.description, $0.name.isHostName, $0.name.reverseAddress) }
        }
        #expect(accepted > 2_000)
        for _ in 0..<50_000 {
            var message = random.bytes(.random(in: 0...80, using: &random))
            // Few records, so that they are read.
            for index in stride(from: 4, to: min(message.count, 12), by: 2) { message[index] = 0 }
            _ = try? parse(message)
        }
    }
}
