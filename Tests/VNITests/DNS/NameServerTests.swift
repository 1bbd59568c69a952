// The name server of an exit, asked from the entrance's stack.

import NIOConcurrencyHelpers
import NIOCore
import Netstack
import Synchronization
import TestSupport
import Testing
import VNI

@Suite struct NameServerTests {
    private static let many = (0..<100).map { "192.0.2.\($0)" }

    /// The whole way: a name that only the exit knows, its addresses, and a connection to one of them.
    @Test func namesOfTheExitsNetworkCanBeDialled() async throws {
        let server = try KernelServer.echo()
        let names = table(["db.internal": ["\(Tunnel.host)", "\(Tunnel.host6)"]])
        for kind in LinkKind.all {
            try await Tunnel.with(kind, exit: { $0.lookUpNames = names }) { tunnel in
                await tunnel.entrance.stack.setPatience([.seconds(600)])
                let addresses = try await tunnel.entrance.stack.resolve("DB.internal")
                #expect(addresses == [Tunnel.host6, Tunnel.host])
                let address = try #require(addresses.last)
                let connection = try await tunnel.entrance.stack.connect(to: TransportAddress(address, server.port))
                try await connection.write("hello")
                #expect(try await connection.read(exactly: 5) == ByteBuffer(string: "hello"))
            }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func answersAtBothAddressesOverUDPAndTCP(_ version: IPVersion) async throws {
        try await Tunnel.with(names: table(["a.internal": ["192.0.2.1"]])) { tunnel in
            // The case of letters is the asker's (draft-vixie-dnsext-dns0x20).
            let query = try query("A.iNternal")
            let reply = try await tunnel.ask(query, version)
            let connection = try await tunnel.connectToNameServer(version)
            try await connection.send(query)
            for reply in [reply, try await connection.receiveMessage()] {
                #expect(reply.id == query.id)
                #expect(reply.flags == [.response, .recursionDesired, .recursionAvailable])
                #expect(reply.question?.name.wire == query.question?.name.wire)
                #expect(reply.answers.map(\.address) == [try IPAddress("192.0.2.1")])
                #expect(reply.edns == nil)
            }
        }
    }

    @Test func tellsNoNameFromNoDataFromFailure() async throws {
        let names = table(["v4.internal": ["192.0.2.1"]])
        let lookUp: NameLookup = { query in
            query.question.name.description == "broken.internal" ? .records(.serverFailure, []) : names(query)
        }
        try await Tunnel.with(names: lookUp) { tunnel in
            for (name, type, code) in [
                ("v4.internal", DNSRecordType.aaaa, DNSResponseCode.noError), ("none.internal", .a, .nameError),
                ("broken.internal", .a, .serverFailure),
            ] {
                let reply = try await tunnel.ask(query(name, type))
                #expect(reply.responseCode == code)
                #expect(reply.answers.isEmpty)
            }
            let stack = tunnel.entrance.stack
            await #expect(throws: NetstackError.nameNotFound("none.internal")) {
                try await stack.resolve("none.internal")
            }
            let last = try nameServer(.v6).address
            await #expect(throws: NetstackError.nameServerFailed("broken.internal", server: last, code: 2)) {
                try await stack.resolve("broken.internal")
            }
        }
    }

    @Test func whatUDPCannotCarryComesOverTCP() async throws {
        try await Tunnel.with(names: table(["many.internal": Self.many])) { tunnel in
            for edns in [nil, EDNS(payloadSize: 100), EDNS(payloadSize: 1000), EDNS(payloadSize: 65535)] {
                let reply = try await tunnel.ask(query("many.internal", edns: edns))
                #expect(reply.flags.contains(.truncated))
                #expect(reply.answers.isEmpty)
                #expect((reply.edns != nil) == (edns != nil))
            }
            let addresses = try await tunnel.entrance.stack.resolve("many.internal")
            #expect(addresses.map(\.description) == Self.many)
        }
    }

    @Test func theSizeThatEDNSAnnouncesIsUsed() async throws {
        // 17 + 16 × 50 bytes.
        try await Tunnel.with(names: table(["some.internal": Array(Self.many.prefix(50))])) { tunnel in
            let plain = try await tunnel.ask(query("some.internal"))
            #expect(plain.answers.isEmpty)
            let long = try await tunnel.ask(query("some.internal", edns: EDNS(payloadSize: 900)))
            #expect(long.answers.count == 50)
        }
    }

    @Test func anExitThatDoesNotAnswerSaysSoAtOnce() async throws {
        try await Tunnel.with(names: table([:]), exit: { $0.answersNames = false }) { tunnel in
            let last = try nameServer(.v6)
            await #expect(throws: NetstackError.prohibited(last)) {
                try await tunnel.entrance.stack.resolve("a.internal")
            }
            await #expect(throws: NetstackError.prohibited(last)) { try await tunnel.connectToNameServer(.v6) }
        }
    }

    /// Nothing but the exit's own addresses is a name server: another's is reached where a route leads to it.
    @Test func doesNotAnswerForOtherAddresses() async throws {
        try await Tunnel.with(names: table(["a.internal": ["192.0.2.1"]])) { tunnel in
            let other = try TransportAddress("10.9.9.9:53")
            tunnel.entrance.stack.nameServers = [other.address]
            await #expect(throws: NetstackError.prohibited(other)) {
                try await tunnel.entrance.stack.resolve("a.internal")
            }
        }
    }

    @Test func localhostIsAnsweredWithoutALookup() async throws {
        let lookUp: NameLookup = { query in
            Issue.record("\(query.question.name) was looked up")
            return .records(.serverFailure, [])
        }
        try await Tunnel.with(names: lookUp) { tunnel in
            #expect(try await tunnel.ask(query("localhost")).answers.map(\.address) == [.v4(.loopback)])
            #expect(try await tunnel.ask(query("a.LOCALHOST", .aaaa)).answers.map(\.address) == [.v6(.loopback)])
            let other = try await tunnel.ask(query("localhost", .ptr))
            #expect(other.answers.isEmpty && other.responseCode == .noError)
        }
    }

    @Test func answersGarbageAsTheRFCsSayOrNotAtAll() async throws {
        try await Tunnel.with(names: table(["a.internal": ["192.0.2.1"]])) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let good = try query("a.internal")
            var response = good
            response.flags.insert(.response)
            // No header, and a response: neither is answered, or the answer to what follows would not be the next.
            for bytes in [ByteBuffer(), ByteBuffer(repeating: 0, count: 11), response.encoded()] {
                try await socket.send(bytes, to: nameServer())
            }

            var cases: [(ByteBuffer, DNSResponseCode)] = []
            func add(_ code: DNSResponseCode, _ change: (inout DNSMessage) throws -> Void) rethrows {
                var message = good
                try change(&message)
                cases.append((message.encoded(), code))
            }
            cases.append((ByteBuffer(repeating: 0x55, count: 600), .notImplemented))
            var truncated = good.encoded()
            truncated.moveWriterIndex(to: truncated.writerIndex - 1)
            cases.append((truncated, .formatError))
            var twice = good.encoded()
            twice.setInteger(UInt16(2), at: 4)
            cases.append((twice, .formatError))
            add(.formatError) { $0.question = nil }
            add(.notImplemented) { $0.opcode = 5 }
            add(.notImplemented) { $0.question?.type = DNSRecordType(rawValue: 252) }
            add(.notImplemented) { $0.question?.type = .opt }
            add(.notImplemented) { $0.question?.class = 3 }
            add(.badVersion) { $0.edns = EDNS(version: 1) }
            add(.noError) { $0.edns = EDNS() }
            for (bytes, code) in cases {
                try await socket.send(bytes, to: nameServer())
                let reply = try await parse(socket.receive().payload)
                #expect(reply.responseCode == code)
                #expect(reply.id == bytes.getInteger(at: 0, as: UInt16.self))
                #expect(reply.flags.contains(.response))
            }
        }
    }

    // MARK: TCP

    @Test func answersManyQueriesOnOneConnectionAsTheyAreFound() async throws {
        let gate = Gate()
        let names = table(["slow.internal": ["192.0.2.1"], "fast.internal": ["192.0.2.2"]])
        try await Tunnel.with(names: { query in
            if query.question.name.description == "slow.internal" { gate.wait() }
            return names(query)
        }) { tunnel in
            let connection = try await tunnel.connectToNameServer()
            let (slow, fast) = try (query("slow.internal"), query("fast.internal"))
            try await connection.send(slow, fast, fast)
            #expect(try await connection.receiveMessage().id == fast.id)
            #expect(try await connection.receiveMessage().id == fast.id)
            // What has been asked is answered after the asker's end too, and the end comes after that.
            try await connection.closeWrite()
            gate.open()
            #expect(try await connection.receiveMessage().id == slow.id)
            #expect(try await connection.read() == nil)
        }
    }

    @Test func takesMoreQueriesThanItAnswersAtOnce() async throws {
        try await Tunnel.with(names: table(["many.internal": Self.many])) { tunnel in
            let connection = try await tunnel.connectToNameServer()
            let queries = try (0..<100).map { _ in try query("many.internal") }
            async let sent: Void = {
                for query in queries { try await connection.send(query) }
                try await connection.closeWrite()
            }()
            var ids: [UInt16] = []
            for _ in queries {
                let reply = try await connection.receiveMessage()
                #expect(reply.answers.count == 100)
                ids.append(reply.id)
            }
            try await sent
            #expect(ids.sorted() == queries.map(\.id).sorted())
            #expect(try await connection.read() == nil)
        }
    }

    @Test func closesAConnectionThatIsIdle() async throws {
        try await Tunnel.with(names: table([:]), patience: .seconds(5)) { tunnel in
            let connection = try await tunnel.connectToNameServer()
            // The beginning of a query is none.
            try await connection.write(ByteBuffer(integer: UInt16(100)))
            #expect(try await connection.read() == nil)
        }
    }

    @Test func hasNoMoreThanSoManyConnections() async throws {
        try await Tunnel.with(names: table([:])) { tunnel in
            var connections: [TCPConnection] = []
            for _ in 0..<64 {
                let connection = try await tunnel.connectToNameServer()
                try await connection.send(query("none.internal"))
                #expect(try await connection.receiveMessage().responseCode == .nameError)
                connections.append(connection)
            }
            await #expect(throws: NetstackError.connectionReset) {
                _ = try await tunnel.connectToNameServer().read()
            }
            #expect(await tunnel.exit.exitStatistics?.nameQueriesRefused == 1)
            for connection in connections { await connection.reset() }
            // There is room again.
            let connection = try await tunnel.connectToNameServer()
            try await connection.send(query("none.internal"))
            #expect(try await connection.receiveMessage().responseCode == .nameError)
        }
    }

    // MARK: Lookups that hang

    @Test func lookupsThatHangAreBoundedAndStallNothing() async throws {
        let gate = Gate()
        let running = Mutex((now: 0, most: 0))
        let echo = try KernelServer.echo()
        try await Tunnel.with(names: { query in
            if "\(query.question.name)" == "other.internal" { return .records(.noError, []) }
            running.withLock { ($0.now, $0.most) = ($0.now + 1, max($0.most, $0.now + 1)) }
            gate.wait()
            running.withLock { $0.now -= 1 }
            return .records(.nameError, [])
        }) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            for index in 0..<1000 {
                try await socket.send(query("n\(index).internal").encoded(), to: nameServer())
            }
            // 128 wait for an answer; the others have theirs.
            for _ in 0..<872 { #expect(try await parse(socket.receive().payload).responseCode == .refused) }
            #expect(await tunnel.exit.exitStatistics?.nameQueriesRefused == 872)
            // There are threads for another source.
            let other = try await tunnel.ask(query("other.internal"), .v6)
            #expect(other.responseCode == .noError)

            let connection = try await tunnel.connect(port: echo.port)
            for offset in stride(from: 0, to: 16 << 20, by: 1 << 18) {
                try await connection.write(pattern(1 << 18, from: offset))
                #expect(try await connection.read(exactly: 1 << 18) == pattern(1 << 18, from: offset))
            }

            gate.open()
            for _ in 0..<128 { #expect(try await parse(socket.receive().payload).responseCode == .nameError) }
            #expect(running.withLock { $0.most } <= 8)
        }
    }

    @Test func theSameQuestionIsLookedUpOnce() async throws {
        let gate = Gate()
        let count = Mutex(0)
        try await Tunnel.with(names: { _ in
            count.withLock { $0 += 1 }
            gate.wait()
            return .records(.nameError, [])
        }) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let queries = try (0..<100).map { try query($0.isMultiple(of: 2) ? "a.internal" : "A.Internal") }
            for query in queries { try await socket.send(query.encoded(), to: nameServer()) }
            // Answered in the order of arrival: after this, all of the above has arrived.
            try await socket.send(query("localhost").encoded(), to: nameServer())
            #expect(try await parse(socket.receive().payload).responseCode == .noError)
            gate.open()
            var ids: [UInt16] = []
            for _ in queries { ids.append(try await parse(socket.receive().payload).id) }
            #expect(ids == queries.map(\.id))
            #expect(count.withLock { $0 } == 1)
        }
    }

    @Test func aLookupThatHangsIsAFailureAfterAWhile() async throws {
        let gate = Gate()
        try await Tunnel.with(
            names: { _ in
                gate.wait()
                return .records(.nameError, [])
            }, patience: .milliseconds(10)
        ) { tunnel in
            let reply = try await tunnel.ask(query("a.internal"))
            #expect(reply.responseCode == .serverFailure)
            gate.open()
        }
    }

    @Test func lookupsThatHangKeepNothingAlive() async throws {
        /// Tells of its end.
        final class Token: Sendable {
            let ended: AsyncStream<Void>.Continuation
            init(_ ended: AsyncStream<Void>.Continuation) { self.ended = ended }
            deinit { ended.yield() }
        }
        let (ends, ended) = AsyncStream.makeStream(of: Void.self)
        let (begins, begun) = AsyncStream.makeStream(of: Void.self)
        let gate = Gate()
        func run() async throws -> @Sendable () -> Bool {
            let token = Token(ended)
            let tunnel = try await Tunnel(.memory) {
                $0.lookUpNames = { _ in
                    begun.yield()
                    gate.wait()
                    return withExtendedLifetime(token) { .records(.nameError, []) }
                }
            }
            let socket = try await tunnel.entrance.stack.openUDP()
            try await socket.send(query("a.internal").encoded(), to: nameServer())
            let connection = try await tunnel.connectToNameServer()
            try await connection.send(query("b.internal"))
            for _ in 0..<2 { _ = await begins.first { _ in true } }
            await tunnel.shutdown()
            return { [weak stack = tunnel.exit.stack] in stack == nil }
        }
        let isGone = try await run()
        #expect(isGone())
        gate.open()
        _ = await ends.first { _ in true }
    }
}

/// What threads wait for until it is opened, once for all.
private final class Gate: Sendable {
    private let lock = ConditionLock(value: false)

    func wait() {
        lock.lock(whenValue: true)
        lock.unlock()
    }

    func open() {
        lock.lock()
        lock.unlock(withValue: true)
    }
}
