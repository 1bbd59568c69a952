// Time-outs and cancellation: the caller learns, and the server sees the connection go.

import NIOCore
import NIOEmbedded
import NetstackHTTP
import TestSupport
import Testing

struct TimeoutTests {
    /// Runs `body` against a server that sends `reply` after the head, and waits for the connection's end.
    private func againstServer(
        sending reply: String? = nil, repeated: Bool = false,
        _ configure: (inout HTTPClient.Configuration) -> Void = { _ in },
        asked: Event = Event(), _ body: @escaping (HTTPClient, String) async throws -> Void
    ) async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            asked.happen()
            if let reply {
                repeat { try await connection.send(reply) } while repeated
            }
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with(configure) { client in
                try await body(client, server.url())
                await server.ended.wait()
            }
        }
    }

    private func expect(
        _ timeout: HTTPClientError.Timeout, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async {
        await #expect(sourceLocation: sourceLocation) {
            try await body()
        } throws: { error in
            guard case HTTPClientError.timedOut(timeout) = error else { return false }
            return true
        }
    }

    @Test func endsWhenTheServerDoesNotAnswer() async throws {
        try await againstServer {
            $0.idleTimeout = .milliseconds(50)
        } _: { client, url in
            await expect(.idle) { _ = try await client.get(url) }
        }
    }

    @Test func endsWhenTheServerStopsReading() async throws {
        let release = Event()
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.head()
            await release.wait()
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with {
                $0.idleTimeout = .milliseconds(50)
            } _: { client in
                let endless = AsyncStream<ByteBuffer> { ByteBuffer(repeating: 0, count: 1 << 16) }
                await expect(.idle) { _ = try await client.post(server.url(), body: .stream(endless)) }
                release.happen()
                await closed.wait()
            }
        }
    }

    @Test func countsSilenceOnlyWhenItIsTheServersTurn() async throws {
        let dialer = TestingDialer()
        let channel = dialer.channel
        let client = HTTPClient(dialer: dialer)
        let request = Task { try await client.get("http://a/") }
        _ = try await channel.waitForOutboundWrite(as: ByteBuffer.self)
        try await channel.writeInbound(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
        var body = try await request.value.body.makeAsyncIterator()
        let limit = TimeAmount(HTTPClient.Configuration().idleTimeout)
        await channel.testingEventLoop.advanceTime(by: limit - .seconds(1))
        // Enough for the client to read no more.
        for _ in 1...16 { try await channel.writeInbound(ByteBuffer(string: "x")) }
        await channel.testingEventLoop.advanceTime(by: .hours(1))
        for _ in 1...16 { try await #expect(body.next()?.readableBytes == 1) }
        await channel.testingEventLoop.advanceTime(by: limit - .seconds(1))
        try await channel.writeInbound(ByteBuffer(string: "y"))
        try await #expect(body.next()?.readableBytes == 1)
        await channel.testingEventLoop.advanceTime(by: limit + .seconds(1))
        await expect(.idle) { _ = try await body.next() }
        #expect(!channel.isActive)
    }

    @Test func endsWhenTheWholeRequestTakesTooLong() async throws {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send(head)
            while true { try await connection.send("1\r\nx\r\n") }
        } while: { server in
            try await HTTPClient.with {
                $0.totalTimeout = .seconds(1)
            } _: { client in
                await expect(.total) {
                    for try await chunk in try await client.get(server.url()).body { #expect(chunk.readableBytes > 0) }
                }
                await server.ended.wait()
            }
        }
    }

    @Test("ends when TLS is not established in time", arguments: [true, false])
    func endsInTheHandshake(_ isTotal: Bool) async throws {
        try await RawServer.run { connection in
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with {
                if isTotal { $0.totalTimeout = .seconds(2) } else { $0.connectTimeout = .seconds(2) }
            } _: { client in
                await expect(isTotal ? .total : .connect) { _ = try await client.get(server.url(scheme: "https")) }
                await server.ended.wait()
            }
        }
    }

    @Test func endsWhenCancelledBeforeTheResponse() async throws {
        let asked = Event()
        try await againstServer(asked: asked) { client, url in
            let request = Task { try await client.get(url) }
            await asked.wait()
            request.cancel()
            await #expect(throws: CancellationError.self) { _ = try await request.value }
        }
    }

    @Test func endsWhenCancelledInTheBody() async throws {
        let reading = Event()
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
        try await againstServer(sending: head) { client, url in
            let request = Task {
                for try await _ in try await client.get(url).body { reading.happen() }
            }
            await reading.wait()
            request.cancel()
            await #expect(throws: CancellationError.self) { try await request.value }
        }
    }

    @Test func endsWhenCancelledInTheHandshake() async throws {
        let greeted = Event()
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.receive()
            greeted.happen()
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                let request = Task { try await client.get(server.url(scheme: "https")) }
                await greeted.wait()
                request.cancel()
                await #expect(throws: CancellationError.self) { _ = try await request.value }
                await closed.wait()
            }
        }
    }

    @Test func sendsNothingWhenCancelledBeforehand() async throws {
        try await RawServer.run {
            try await $0.answerAll()
        } while: { server in
            try await HTTPClient.with { client in
                try await #expect(client.get(server.url()).text() == "1")
                let cancelled = Event()
                let request = Task {
                    await cancelled.wait()
                    return try await client.get(server.url())
                }
                request.cancel()
                cancelled.happen()
                await #expect(throws: CancellationError.self) { _ = try await request.value }
            }
        }
    }
}
