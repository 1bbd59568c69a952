// Servers of HTTP/2 that vanish without a word, in a time that the tests make pass.

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

    /// Reads frames of streams, which do not come by the handler, or these of the connection.
    private func read(_ channel: EmbeddedChannel, _ payloads: HTTP2Frame.FramePayload...) {
        for payload in payloads {
            channel.pipeline.fireChannelRead(HTTP2Frame(streamID: .rootStream, payload: payload))
        }
        channel.pipeline.fireChannelReadComplete()
    }

    /// Lets a silence pass, at whose end there is a ping and not before, and answers it.
    private func answer(after silence: TimeAmount, _ channel: EmbeddedChannel) throws {
        channel.embeddedEventLoop.advanceTime(by: silence - .nanoseconds(1))
        try #expect(!hasPinged(channel))
        channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
        try #expect(hasPinged(channel))
        read(channel, .ping(HTTP2PingData(), ack: true))
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
            handler.streamCount = 1
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence - .nanoseconds(1))
            try #expect(!hasPinged(channel))
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            try #expect(hasPinged(channel))
            // The requests may have been given up meanwhile.
            handler.streamCount = 0
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.patience - .nanoseconds(1))
            try channel.throwIfErrorCaught()
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            expectGivenUp(channel)
            // It is not said again, whatever becomes of streams.
            for count in [2, 1] { handler.streamCount = count }
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            try channel.throwIfErrorCaught()
            try #expect(!hasPinged(channel))
        }
    }

    @Test func aServerThatAnswersIsPingedLessAndLessOften() throws {
        try withHandler { channel, handler in
            handler.streamCount = 1
            var silence = HTTP2PingHandler.silence
            var silences: [TimeAmount] = []
            for _ in 0..<50 {
                try answer(after: silence, channel)
                silences.append(silence)
                silence = min(silence * HTTP2PingHandler.growth, HTTP2PingHandler.longestSilence)
            }
            // Servers of gRPC end a connection over a third.
            #expect(silences.dropFirst().count { $0 < .minutes(5) } == 2)
            #expect(silence == HTTP2PingHandler.longestSilence)
            channel.embeddedEventLoop.advanceTime(by: silence)
            try #expect(hasPinged(channel))
            try channel.throwIfErrorCaught()
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.patience)
            expectGivenUp(channel)
        }
    }

    @Test("a server is pinged soon again when streams open or bring frames", arguments: [true, false])
    func theFirstSilenceComesBack(_ opens: Bool) throws {
        try withHandler { channel, handler in
            handler.streamCount = 1
            for _ in 0..<2 {
                try answer(after: HTTP2PingHandler.silence, channel)
                if opens { handler.streamCount += 1 } else { read(channel) }
            }
            try answer(after: HTTP2PingHandler.silence, channel)
            // A stream that closes says nothing of the server.
            handler.streamCount = 1
            // Nor is the connection's own business what requests wait for.
            read(channel, .settings(.settings([])))
            try answer(after: HTTP2PingHandler.silence * HTTP2PingHandler.growth, channel)
        }
    }

    @Test func aServerThatTakesWhatIsWrittenIsNotGivenUp() throws {
        try withHandler { channel, handler in
            handler.streamCount = 1
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence)
            try #expect(hasPinged(channel))
            for isWritable in [false, true] {
                channel.embeddedEventLoop.advanceTime(by: .seconds(5))
                channel.isWritable = isWritable
                channel.pipeline.fireChannelWritabilityChanged()
            }
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence - .nanoseconds(1))
            try #expect(!hasPinged(channel))
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            try #expect(hasPinged(channel))
            // That nothing more fits in is no sign of life.
            channel.embeddedEventLoop.advanceTime(by: .seconds(5))
            channel.isWritable = false
            channel.pipeline.fireChannelWritabilityChanged()
            channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.patience - .seconds(5))
            expectGivenUp(channel)
        }
    }

    @Test func aServerThatSpeaksByItselfIsNotPinged() throws {
        try withHandler { channel, handler in
            handler.streamCount = 1
            for _ in 0..<50 {
                channel.embeddedEventLoop.advanceTime(by: HTTP2PingHandler.silence - .nanoseconds(1))
                channel.pipeline.fireChannelReadComplete()
            }
            try #expect(!hasPinged(channel))
        }
    }

    @Test func aServerWithNothingToSayIsPingedWhenItHas() throws {
        try withHandler { channel, handler in
            handler.streamCount = 1
            handler.streamCount = 0
            channel.embeddedEventLoop.advanceTime(by: .hours(1))
            try #expect(!hasPinged(channel))
            handler.streamCount = 1
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
            do {
                try await test(client, servers)
            } catch {
                try await finish(client, servers)
                throw error
            }
            try await finish(client, servers)
        }
    }

    private func finish(_ client: HTTPClient, _ servers: MemoryServers) async throws {
        // TLS waits for the words that servers end with, and these may have vanished.
        await servers.loop.advanceTime(by: .seconds(30))
        try await servers.carry(until: Task { await client.shutdown() })
        try await servers.finish()
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
            var silence = HTTP2PingHandler.silence
            for _ in 0..<10 {
                await servers.loop.advanceTime(by: silence)
                try await #expect(servers.carryAll())
                silence = min(silence * HTTP2PingHandler.growth, HTTP2PingHandler.longestSilence)
            }
            let other = Task { [url = servers.server.url()] in try await client.get(url).text() }
            try await #expect(servers.carry(until: other) == "1")
            held.cancel()
            _ = try? await servers.carry(until: held)
            #expect(servers.server.accepted == 1)
        }
    }
}
