// Servers of HTTP/2 that vanish without a word, in a time that the tests make pass.

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOHTTP2
import NIOSSL
import NetstackHTTP
import TestSupport
import Testing

struct HTTP2PingTests {
    // MARK: The handler

    /// The handler by itself, on a connection where requests wait for the server.
    private func withHandler(_ body: (EmbeddedChannel, HTTP2PingHandler) throws -> Void) throws {
        let channel = EmbeddedChannel()
        let handler = HTTP2PingHandler()
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        try body(channel, handler)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    /// Whether there has been a ping, and nothing else.
    private func hasPinged(_ channel: EmbeddedChannel) throws -> Bool {
        guard let frame = try channel.readOutbound(as: HTTP2Frame.self) else { return false }
        guard case .ping(_, ack: false) = frame.payload, frame.streamID == .rootStream else { return false }
        return try channel.readOutbound(as: HTTP2Frame.self) == nil
    }

    private func expectGivenUp(_ channel: EmbeddedChannel) {
        #expect {
            try channel.throwIfErrorCaught()
        } throws: {
            guard case HTTPClientError.connectionClosed(HTTPClientError.timedOut(.idle)?) = $0 else { return false }
            return true
        }
    }

    @Test func aServerThatIsSilentIsPingedAndGivenUp() throws {
        try withHandler { channel, handler in
            handler.isAwaiting = true
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence - .nanoseconds(1))
            try #expect(!hasPinged(channel))
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            try #expect(hasPinged(channel))
            // The requests may have been given up meanwhile.
            handler.isAwaiting = false
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.patience - .nanoseconds(1))
            try channel.throwIfErrorCaught()
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            expectGivenUp(channel)
        }
    }

    @Test func aServerThatAnswersIsPingedAgainAfterAnotherSilence() throws {
        try withHandler { channel, handler in
            handler.isAwaiting = true
            for _ in 0..<50 {
                channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence)
                try #expect(hasPinged(channel))
                channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.patience - .nanoseconds(1))
                channel.pipeline.fireChannelReadComplete()
            }
            try channel.throwIfErrorCaught()
        }
    }

    @Test func aServerThatSpeaksByItselfIsNotPinged() throws {
        try withHandler { channel, handler in
            handler.isAwaiting = true
            for _ in 0..<50 {
                channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence - .nanoseconds(1))
                channel.pipeline.fireChannelReadComplete()
            }
            try #expect(!hasPinged(channel))
        }
    }

    @Test func aServerWithNothingToSayIsPingedWhenItHas() throws {
        try withHandler { channel, handler in
            handler.isAwaiting = true
            handler.isAwaiting = false
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            try #expect(!hasPinged(channel))
            handler.isAwaiting = true
            channel.embeddedEventLoop.run()
            try #expect(hasPinged(channel))
        }
    }

    // MARK: The client

    /// Runs a test with a client, whose connections lead to servers on the same event loop.
    private func withClient(_ test: (HTTPClient, MemoryServers) async throws -> Void) async throws {
        try await TLSIdentity.with { identity in
            var configuration = HTTPClient.Configuration()
            configuration.tls.trustRoots = .certificates([identity.certificate])
            configuration.idleTimeout = .seconds(3600)
            let servers = MemoryServers(try identity.serverContext(protocols: ["h2"]))
            let client = HTTPClient(dialer: servers, configuration: configuration)
            try await test(client, servers)
            // TLS waits for the words that servers end with, and these may have vanished.
            await servers.loop.advanceTime(by: .seconds(30))
            try await servers.carry(until: Task { await client.shutdown() })
            try await servers.finish()
        }
    }

    @Test(.enabled(if: ChildProcess.isInstalled("openssl")))
    func requestsOfASessionWhoseServerHasVanishedGoToAnother() async throws {
        try await withClient { client, servers in
            let first = Task { [url = servers.server.url()] in try await client.get(url).text() }
            try await #expect(servers.carry(until: first) == "1")
            while try await servers.carryAll() {}
            servers.vanish()
            let lost = Task { [url = servers.server.url("/post")] in
                try await client.post(url, body: .text("")).text()
            }
            try await servers.waitForAWrite()
            let sentAgain = Task { [url = servers.server.url("/get")] in try await client.get(url).text() }
            try await servers.waitForAWrite()
            await servers.loop.advanceTime(by: HTTP2PingHandler.silence)
            await servers.loop.advanceTime(by: HTTP2PingHandler.patience)
            // What a server may have acted upon is not sent twice.
            await #expect {
                try await lost.value
            } throws: {
                guard case HTTPClientError.connectionClosed(HTTPClientError.timedOut(.idle)?) = $0 else { return false }
                return true
            }
            try await #expect(servers.carry(until: sentAgain) == "2")
        }
    }

    @Test(.enabled(if: ChildProcess.isInstalled("openssl")))
    func aSessionWhoseServerAnswersPingsStays() async throws {
        try await withClient { client, servers in
            let held = Task { [url = servers.server.url("/hold")] in try await client.get(url).text() }
            try await servers.carry(until: Task { await servers.server.holding.wait() })
            while try await servers.carryAll() {}
            for _ in 0..<10 {
                await servers.loop.advanceTime(by: HTTP2PingHandler.silence)
                try await #expect(servers.carryAll())
            }
            let other = Task { [url = servers.server.url()] in try await client.get(url).text() }
            try await #expect(servers.carry(until: other) == "1")
            held.cancel()
            _ = try? await servers.carry(until: held)
            #expect(servers.server.accepted == 1)
        }
    }
}
