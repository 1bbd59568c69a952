// Limits on connections, and how long it may take to get one.

import HTTPTypes
import NIOCore
import NIOHTTPCompression
import Netstack
import NetstackHTTP
import TestSupport
import Testing

struct PoolTests {
    @Test func requestsBeyondTheLimitOfConnectionsWaitTheirTurn() async throws {
        try await RawServer.run {
            try await $0.answerAll()
        } while: { server in
            try await HTTPClient.with {
                $0.maximumConnectionsPerOrigin = 2
            } _: { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<40 {
                        group.addTask { _ = try await client.get(server.url()).text() }
                    }
                    try await group.waitForAll()
                }
                #expect(server.accepted <= 2)
            }
        }
    }

    @Test func tooManyThatWaitAreToldSo() async throws {
        try await withTheConnectionInUse {
            $0.maximumWaitingRequestsPerOrigin = 0
        } _: { client, url in
            await #expect {
                _ = try await client.get(url)
            } throws: {
                guard case HTTPClientError.tooManyWaitingRequests(limit: 0) = $0 else { return false }
                return true
            }
        }
    }

    /// Runs a test while the one connection that there may be to a server has a request which is not answered.
    private func withTheConnectionInUse(
        _ configure: (inout HTTPClient.Configuration) -> Void, _ test: (HTTPClient, String) async throws -> Void
    ) async throws {
        let held = Event()
        try await RawServer.run { connection in
            _ = try await connection.head()
            held.happen()
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with {
                $0.maximumConnectionsPerOrigin = 1
                configure(&$0)
            } _: { client in
                let request = Task { try await client.get(server.url()) }
                await held.wait()
                try await test(client, server.url())
                request.cancel()
                _ = try? await request.value
            }
        }
    }

    @Test("who waits for a connection can be cancelled, and is not kept for ever", arguments: [true, false])
    func waitingEnds(_ isCancelled: Bool) async throws {
        try await withTheConnectionInUse {
            // Long enough for the first connection on a busy machine.
            if !isCancelled { $0.connectTimeout = .seconds(3) }
        } _: { client, url in
            let second = Task { try await client.get(url) }
            if isCancelled {
                second.cancel()
                await #expect(throws: CancellationError.self) { try await second.value }
            } else {
                await #expect {
                    _ = try await second.value
                } throws: {
                    guard case HTTPClientError.timedOut(.connect) = $0 else { return false }
                    return true
                }
            }
        }
    }

    /// Never answers, and does not heed cancellation.
    private struct DeafResolver: HostResolver {
        func resolve(_ host: String) async throws -> [IPAddress] {
            await withCheckedContinuation { (_: CheckedContinuation<Void, Never>) in }
            return []
        }
    }

    @Test func theTimeToConnectCoversResolving() async throws {
        try await StackPair.with { pair in
            var configuration = HTTPClient.Configuration()
            configuration.connectTimeout = .milliseconds(100)
            let client = HTTPClient(stack: pair.near, resolver: DeafResolver(), configuration: configuration)
            await #expect {
                _ = try await client.get("http://name.example/")
            } throws: {
                guard case HTTPClientError.timedOut(.connect) = $0 else { return false }
                return true
            }
            await client.shutdown()
        }
    }

    /// Dials when it is cancelled.
    private struct LateDialer: HTTPDialer {
        let dialling = Event()
        let dialer = RecordingDialer()

        func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
            dialling.happen()
            await Event().wait()
            return try await dialer.dial(host: host, port: port, deadline: deadline)
        }
    }

    @Test func aDialThatOutlastsTheShutdownLeavesNoConnection() async throws {
        try await RawServer.run {
            try await $0.untilClosed()
        } while: { server in
            let dialer = LateDialer()
            let client = HTTPClient(dialer: dialer)
            let request = Task { try await client.get(server.url()) }
            await dialer.dialling.wait()
            await client.shutdown()
            await #expect {
                _ = try await request.value
            } throws: {
                guard case HTTPClientError.clientShutDown = $0 else { return false }
                return true
            }
            #expect(dialer.dialer.channels.map(\.isActive) == [false])
        }
    }

    @Test func aHandshakeThatTheShutdownCutsShortLeavesNoConnection() async throws {
        let greeted = Event()
        try await RawServer.run { connection in
            // It answers nothing to what TLS begins with.
            _ = try await connection.receive()
            greeted.happen()
            try await connection.untilClosed()
        } while: { server in
            let dialer = RecordingDialer()
            let client = HTTPClient(dialer: dialer)
            let request = Task { try await client.get(server.url(scheme: "https")) }
            await greeted.wait()
            await client.shutdown()
            #expect(dialer.channels.map(\.isActive) == [false])
            await #expect {
                _ = try await request.value
            } throws: {
                guard case HTTPClientError.clientShutDown = $0 else { return false }
                return true
            }
        }
    }

    @Test func anAddressThatIsSilentDoesNotHoldUpTheNext() async throws {
        try await StackPair.with(farPromiscuous: true) { pair in
            // Nobody answers for the first address: SYNs to it are left undecided.
            let silent = IPAddress.v4(IPv4Address(192, 0, 2, 1))
            let listener = try await pair.far.listen(port: 80, at: StackPair.farAddress)
            try await pair.far.forward(on: 1) { _, nic in nic.tcpHandler = { _ in } }
            let served = Task {
                for try await connection in listener {
                    _ = try await connection.read()
                    try await connection.write("HTTP/1.1 204 No Content\r\n\r\n")
                }
            }
            let resolver = FixedResolver(name: "name.example", addresses: [silent, StackPair.farAddress])
            let client = HTTPClient(stack: pair.near, resolver: resolver)
            try await #expect(client.get("http://name.example/").status == .noContent)
            await client.shutdown()
            await listener.close()
            _ = try? await served.value
        }
    }

    /// What `printf hello | gzip -n` makes.
    private static let compressed: [UInt8] = [
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x86, 0xa6, 0x10, 0x36, 5,
        0,
        0, 0,
    ]

    /// Fetches that, and passes what the server was asked.
    private func fetchCompressed(_ policy: HTTPClient.DecompressionPolicy) async throws -> (ByteBuffer, String) {
        let heads = AsyncStream.makeStream(of: String.self)
        var result: ByteBuffer?
        try await RawServer.run { connection in
            heads.continuation.yield(try await connection.head() ?? "")
            let fields = "Content-Encoding: gzip\r\nContent-Length: \(Self.compressed.count)\r\n"
            try await connection.send("HTTP/1.1 200 OK\r\n\(fields)\r\n")
            try await connection.send(ByteBuffer(bytes: Self.compressed))
        } while: { server in
            try await HTTPClient.with {
                $0.decompression = policy
            } _: {
                result = try await $0.get(server.url()).body.collect(upTo: 1000)
            }
        }
        var iterator = heads.stream.makeAsyncIterator()
        return (try #require(result), await iterator.next() ?? "")
    }

    @Test func bodiesAreDecompressedOnRequestOnly() async throws {
        let (asItIs, silently) = try await fetchCompressed(.never)
        #expect(asItIs == ByteBuffer(bytes: Self.compressed))
        #expect(!silently.lowercased().contains("accept-encoding"))
        let (text, asked) = try await fetchCompressed(.upTo(5))
        #expect(text == ByteBuffer(string: "hello"))
        #expect(asked.lowercased().contains("accept-encoding"))
    }

    @Test func anEmptyBodyNeedsNoDecompression() async throws {
        try await RawServer.run { connection in
            let fields = "Content-Encoding: gzip\r\n"
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\n\(fields)Content-Length: 25\r\n\r\n")
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 304 Not Modified\r\n\(fields)\r\n")
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("", fields))
        } while: { server in
            try await HTTPClient.with {
                $0.decompression = .upTo(1000)
            } _: { client in
                try await #expect(client.head(server.url()).text() == "")
                try await #expect(client.get(server.url()).text() == "")
                try await #expect(client.get(server.url()).text() == "")
                #expect(server.accepted == 1)
            }
        }
    }

    @Test func aBodyThatGrowsBeyondTheLimitIsAnError() async throws {
        await #expect {
            _ = try await fetchCompressed(.upTo(4))
        } throws: {
            guard case HTTPClientError.decompressionFailed = $0 else { return false }
            return true
        }
    }
}
