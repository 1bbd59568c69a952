// Resolving names through a stack, against servers that are good, bad, slow, and not the one that was asked.

import NIOCore
import Netstack
import Synchronization
import TestSupport
import Testing

/// What a server of these tests says to a query: nil says nothing.
private typealias Behaviour = @Sendable (DNSMessage) throws -> DNSMessage?

extension DNSMessage {
    /// An answer to this query.
    fileprivate func answer(_ code: DNSResponseCode = .noError, _ records: [DNSRecord] = []) -> DNSMessage {
        var answer = DNSMessage(id: id, flags: [.response], question: question)
        answer.responseCode = code
        answer.answers = records
        return answer
    }

    /// An answer with the same addresses for every name.
    fileprivate func addresses(_ texts: String...) throws -> DNSMessage {
        guard let question else { return answer() }
        return answer(
            .noError, try texts.compactMap { try DNSRecord(question.name, $0) }.filter { $0.type == question.type })
    }
}

extension DNSRecord {
    fileprivate init(_ name: DNSName, _ address: String) throws {
        switch try IPAddress(address) {
        case .v4(let address): self.init(name, timeToLive: 1, .a(address))
        case .v6(let address): self.init(name, timeToLive: 1, .aaaa(address))
        }
    }
}

@Suite struct ResolveTests {
    /// Runs `body` with a stack that asks a server of the far stack, which answers over UDP and TCP as told.
    private func with(
        servers: [IPAddress] = [StackPair.farAddress], udp: @escaping Behaviour,
        tcp: @escaping Behaviour = { _ in nil }, _ body: @Sendable (StackPair) async throws -> Void
    ) async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = servers
            await pair.near.setPatience([.seconds(600)])
            let socket = try await pair.far.openUDP(port: 53)
            let listener = try await pair.far.listen(port: 53)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        do {
                            let datagram = try await socket.receive()
                            guard let query = parse(datagram.payload), let reply = try udp(query) else { continue }
                            try await socket.send(reply.encoded(), to: datagram.source)
                        } catch NetstackError.unreachable {
                            // An answer came too late.
                        } catch NetstackError.closed {
                            break
                        }
                    }
                }
                group.addTask {
                    for try await connection in listener {
                        let length = try await connection.read(exactly: 2)
                        let message = try await connection.read(
                            exactly: Int(length.getInteger(at: length.readerIndex, as: UInt16.self) ?? 0))
                        guard let query = parse(message), let reply = try tcp(query)?.encoded() else { continue }
                        var bytes = ByteBuffer(integer: UInt16(reply.readableBytes))
                        bytes.writeImmutableBuffer(reply)
                        try await connection.write(bytes)
                        _ = try? await connection.read()
                        await connection.close()
                    }
                }
                try await body(pair)
                await socket.close()
                await listener.close()
                try await group.waitForAll()
            }
        }
    }

    @Test func findsIPv6AddressesAndThenIPv4() async throws {
        try await with(udp: { try $0.addresses("192.0.2.1", "2001:db8::2", "2001:db8::1") }) { pair in
            try await pair.expect("www.example.", is: "2001:db8::2 2001:db8::1 192.0.2.1")
        }
    }

    @Test func addressesWithoutARouteComeLast() async throws {
        try await with(udp: { try $0.addresses("192.0.2.1", "2001:db8::1") }) { pair in
            await pair.near.removeRoute(to: .everyIPv6, via: 1)
            try await pair.expect("a.example", is: "192.0.2.1 2001:db8::1")
        }
    }

    @Test func asksNobodyAboutAddressesAndLocalhost() async throws {
        try await StackPair.with { pair in
            try await pair.expect("192.0.2.1", is: "192.0.2.1")
            try await pair.expect("2001:db8::1", is: "2001:db8::1")
            for name in ["localhost", "LocalHost.", "a.localhost"] {
                try await pair.expect(name, is: "::1 127.0.0.1")
            }
        }
    }

    @Test(arguments: ["", ".", "a..b", "1.2.3", "a b", "[::1]", "ä.example", "a,b", String(repeating: "a", count: 64)])
    func refusesWhatIsNoNameBeforeAnythingIsSent(_ name: String) async throws {
        try await StackPair.with { pair in
            // No name server: that would be the error of anything else.
            await #expect {
                try await pair.near.resolve(name)
            } throws: { error in
                if case NetstackError.malformed(kind: "a host name", _, _) = error { true } else { false }
            }
            await #expect(throws: NetstackError.noNameServer) { try await pair.near.resolve("a.example") }
        }
    }

    @Test func followsAliases() async throws {
        try await with(udp: { query in
            let names = try (0...3).map { try DNSName("n\($0).example") }
            let aliases = zip(names, names.dropFirst()).map { DNSRecord($0, timeToLive: 1, .cname($1)) }
            let last = try DNSRecord(names[3], query.question?.type == .a ? "192.0.2.9" : "2001:db8::9")
            // In no order, with something that nobody has asked for.
            return query.answer(
                .noError, [last, try DNSRecord(DNSName("x.example"), "192.0.2.66")] + aliases.reversed())
        }) { pair in
            try await pair.expect("N0.example", is: "2001:db8::9 192.0.2.9")
        }
    }

    @Test func aLoopOfAliasesIsNoAddress() async throws {
        try await with(udp: { query in
            let (a, b) = try (DNSName("a.example"), DNSName("b.example"))
            return query.answer(
                .noError, [DNSRecord(a, timeToLive: 1, .cname(b)), DNSRecord(b, timeToLive: 1, .cname(a))])
        }) { pair in
            await #expect(throws: NetstackError.nameHasNoAddress("a.example")) {
                try await pair.near.resolve("a.example")
            }
        }
    }

    @Test func tellsANameThatIsNotFromOneWithoutAddress() async throws {
        try await with(udp: { query in
            query.answer(try query.question?.name == DNSName("none.example") ? .nameError : .noError)
        }) { pair in
            await #expect(throws: NetstackError.nameNotFound("none.example")) {
                try await pair.near.resolve("none.example")
            }
            await #expect(throws: NetstackError.nameHasNoAddress("empty.example")) {
                try await pair.near.resolve("empty.example")
            }
        }
    }

    @Test func aFailureOfTheServerIsToldAtOnce() async throws {
        for (code, number) in [(DNSResponseCode.serverFailure, 2), (.refused, 5), (.notImplemented, 4)] {
            try await with(udp: { $0.answer(code) }) { pair in
                await #expect(
                    throws: NetstackError.nameServerFailed("a.example", server: StackPair.farAddress, code: number)
                ) {
                    try await pair.near.resolve("a.example")
                }
            }
        }
    }

    @Test func oneVersionThatFailsDoesNotHideTheOther() async throws {
        try await with(udp: { $0.question?.type == .aaaa ? $0.answer(.serverFailure) : try $0.addresses("192.0.2.1") })
        {
            pair in
            try await pair.expect("a.example", is: "192.0.2.1")
        }
    }

    @Test func asksTheNextServerWhereOneFails() async throws {
        // Nobody is at the first; the second, the same server's other address, answers.
        let nobody = try IPAddress("10.0.0.99")
        try await with(servers: [nobody, StackPair.farAddress6], udp: { try $0.addresses("192.0.2.1") }) { pair in
            await pair.near.setPatience([.milliseconds(20), .milliseconds(200), .seconds(2), .seconds(20)])
            try await pair.expect("a.example", is: "192.0.2.1")
        }
    }

    @Test func asksAgainWhereNoAnswerCame() async throws {
        let ids = Recorder<UInt16>()
        try await with(udp: { query in
            // Each question is let fall once.
            ids.add(query.id) > 2 ? try query.addresses("192.0.2.1", "2001:db8::1") : nil
        }) { pair in
            await pair.near.setPatience([.milliseconds(20), .seconds(600)])
            // One version may do: the other is not asked about again then.
            let found = try await pair.near.resolve("a.example")
            #expect(!found.isEmpty)
        }
        #expect(Set(ids.all).count > 1)
    }

    @Test func silenceIsATimeOut() async throws {
        try await with(udp: { _ in nil }) { pair in
            await pair.near.setPatience([.milliseconds(10), .milliseconds(20)])
            await #expect(throws: NetstackError.timedOut(TransportAddress(StackPair.farAddress, 53))) {
                try await pair.near.resolve("a.example")
            }
        }
    }

    @Test func aClosedPortIsToldAtOnce() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            await #expect(throws: NetstackError.unreachable(TransportAddress(StackPair.farAddress, 53), .port)) {
                try await pair.near.resolve("a.example")
            }
        }
    }

    /// RFC 5452 section 9.1: the right id, question, and address, or it is no answer.
    @Test func believesOnlyWhatAnswersTheQuery() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            let server = try await pair.far.openUDP(port: 53)
            let liar = try await pair.far.openUDP(port: 5353)
            async let resolved = pair.near.resolve("a.example")
            for _ in 0..<2 {
                let datagram = try await server.receive()
                let query = try #require(parse(datagram.payload))
                let lie = try query.addresses("192.0.2.66", "2001:db8::66")
                try await liar.send(lie.encoded(), to: datagram.source)
                for change: (inout DNSMessage) throws -> Void in [
                    { $0.id &+= 1 }, { $0.flags = [] }, { $0.opcode = 1 }, { $0.question = nil },
                    { $0.question?.name = try DNSName("b.example") },
                    { $0.question?.type = query.question?.type == .a ? .aaaa : .a },
                ] {
                    var changed = lie
                    try change(&changed)
                    try await server.send(changed.encoded(), to: datagram.source)
                }
                try await server.send(ByteBuffer(string: "garbage"), to: datagram.source)
                try await server.send(query.addresses("192.0.2.1", "2001:db8::1").encoded(), to: datagram.source)
            }
            let addresses = try await resolved.map(\.description)
            #expect(addresses == ["2001:db8::1", "192.0.2.1"])
        }
    }

    @Test func everyQueryHasAPortOfItsOwn() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            let server = try await pair.far.openUDP(port: 53)
            var ports: Set<UInt16> = []
            for _ in 0..<20 {
                async let resolved = pair.near.resolve("a.example")
                for _ in 0..<2 {
                    let datagram = try await server.receive()
                    ports.insert(datagram.source.port)
                    let query = try #require(parse(datagram.payload))
                    try await server.send(query.addresses("192.0.2.1").encoded(), to: datagram.source)
                }
                _ = try await resolved
            }
            // By the birthday, one pair in 20 runs may be of one number.
            #expect(ports.count >= 38)
        }
    }

    @Test func asksOverTCPWhereTheAnswerIsTruncated() async throws {
        try await with(
            udp: { query in
                var reply = query.answer()
                reply.flags.insert(.truncated)
                return reply
            }, tcp: { try $0.addresses("192.0.2.1", "2001:db8::1") }
        ) { pair in
            try await pair.expect("a.example", is: "2001:db8::1 192.0.2.1")
        }
    }

    @Test func asksWithoutEDNSWhereThatIsNotKnown() async throws {
        try await with(udp: { query in
            guard query.edns != nil else { return try query.addresses("192.0.2.1") }
            var reply = query.answer(.formatError)
            reply.question = nil
            return reply
        }) { pair in
            try await pair.expect("a.example", is: "192.0.2.1")
        }
    }

    @Test func cancellationEndsTheWait() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            let server = try await pair.far.openUDP(port: 53)
            let task = Task { try await pair.near.resolve("a.example") }
            _ = try await server.receive()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }

    @Test func shuttingDownEndsTheWait() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            let server = try await pair.far.openUDP(port: 53)
            let task = Task { try await pair.near.resolve("a.example") }
            _ = try await server.receive()
            await pair.near.shutdown()
            await #expect(throws: NetstackError.stackShutDown) { try await task.value }
        }
    }

    @Test func asksAboutABoundedNumberOfNamesAtOnce() async throws {
        try await StackPair.with { pair in
            pair.near.nameServers = [StackPair.farAddress]
            await pair.near.setPatience([.seconds(600)])
            let server = try await pair.far.openUDP(port: 53)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 {
                    group.addTask { _ = try await pair.near.resolve("n\(index).example") }
                }
                var waiting: [UDPDatagram] = []
                var answered = 0
                while answered < 400 {
                    waiting.append(try await server.receive())
                    // Only when no more than these can come is one answered.
                    guard waiting.count == min(64, 400 - answered) else { continue }
                    let names = Set(waiting.compactMap { parse($0.payload)?.question?.name })
                    #expect(names.count <= 32)
                    for datagram in waiting {
                        let query = try #require(parse(datagram.payload))
                        try await server.send(query.addresses("192.0.2.1").encoded(), to: datagram.source)
                    }
                    answered += waiting.count
                    waiting = []
                }
                try await group.waitForAll()
            }
        }
    }
}

/// What has happened, from any thread.
private final class Recorder<Element: Sendable>: Sendable {
    private let box = Mutex<[Element]>([])

    var all: [Element] { box.withLock { $0 } }

    /// - Returns: how many there are by now.
    func add(_ element: Element) -> Int {
        box.withLock {
            $0.append(element)
            return $0.count
        }
    }
}

extension StackPair {
    /// Expects that a name has these addresses, which stand between spaces, in this order.
    fileprivate func expect(
        _ name: String, is addresses: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let found = try await near.resolve(name).map(\.description).joined(separator: " ")
        #expect(found == addresses, sourceLocation: sourceLocation)
    }
}

private func parse(_ bytes: ByteBuffer) -> DNSMessage? { try? DNSMessage(parsing: bytes.readableBytesSpan) }
