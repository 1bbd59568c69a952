// HTTP/2: what requests share, and what they do not.

import HTTPTypes
import NIOCore
import NIOHTTP2
import NIOSSL
import NetstackHTTP
import TestSupport
import Testing

@Suite(.enabled(if: ChildProcess.isInstalled("openssl")))
struct HTTP2Tests {
    private func with(
        maximumStreams: Int = 100, _ configure: (inout HTTPClient.Configuration) -> Void = { _ in },
        _ test: (HTTPClient, HTTP2Server) async throws -> Void
    ) async throws {
        try await TLSIdentity.with { identity in
            try await HTTP2Server.run(identity, maximumStreams: maximumStreams) { server in
                try await HTTPClient.with {
                    $0.tls.trustRoots = .certificates([identity.certificate])
                    configure(&$0)
                } _: { client in
                    try await test(client, server)
                }
            }
        }
    }

    /// Sends so many requests at once.
    private func getAll(_ count: Int, _ client: HTTPClient, _ server: HTTP2Server) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask { try await #expect(client.get(server.url()).text() == "1") }
            }
            try await group.waitForAll()
        }
    }

    @Test func requestsShareAConnection() async throws {
        try await with { client, server in
            try await getAll(200, client, server)
            #expect(server.accepted == 1)
        }
    }

    @Test func noMoreStreamsAreOpenedThanTheServerTakes() async throws {
        try await with(maximumStreams: 3) { client, server in
            // The first one learns the limit.
            try await getAll(1, client, server)
            try await getAll(50, client, server)
            #expect(server.accepted == 1)
            #expect(server.mostStreams <= 3)
        }
    }

    /// Empty and negative ones ended the process, in the conversion to HTTP/1.
    @Test func aStatusThatIsNoneIsAnError() async throws {
        try await with { client, server in
            for status in ["", "-1", "+20", "1", "2000", "ok", "099"] {
                await #expect {
                    _ = try await client.get(server.url("/status/\(status)"))
                } throws: {
                    guard case HTTPClientError.invalidResponse = $0 else { return false }
                    return true
                }
            }
            try await #expect(client.get(server.url()).status == .ok)
        }
    }

    @Test func informationalResponsesAreSkipped() async throws {
        try await with { client, server in
            let response = try await client.get(server.url("/early"))
            #expect(response.status == .ok)
            #expect(try await response.text() == "/early")
        }
    }

    @Test func aHeadAboveTheLimitIsAnErrorOfItsRequest() async throws {
        try await with { client, server in
            await #expect(throws: HTTPClientError.self) { try await client.get(server.url("/long")) }
            try await #expect(!client.get(server.url()).text().isEmpty)
        }
    }

    @Test func bodiesStreamBothWays() async throws {
        try await with { client, server in
            let pieces = (0..<128).map { pattern(1 << 17, from: $0 << 17) }
            let response = try await client.post(server.url("/echo"), body: .stream(AsyncStream(pieces)))
            var received = ByteBuffer()
            for try await chunk in response.body { received.writeImmutableBuffer(chunk) }
            #expect(received == pattern(128 << 17))
        }
    }

    @Test func manyBodiesShareTheConnectionsWindow() async throws {
        try await with {
            $0.idleTimeout = .seconds(10)
        } _: { client, server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<30 {
                    group.addTask {
                        let body = pattern(100_000, from: number)
                        let response = try await client.post(server.url("/echo"), body: .bytes(body))
                        try await #expect(response.body.collect(upTo: 100_000) == body)
                    }
                }
                try await group.waitForAll()
            }
            #expect(server.accepted == 1)
        }
    }

    @Test func aReaderThatWaitsHoldsItsStreamBackAndNoOther() async throws {
        try await with { client, server in
            let body = pattern(8 << 20)
            let slow = try await client.post(server.url("/echo"), body: .bytes(body))
            try await getAll(20, client, server)
            try await #expect(slow.body.collect(upTo: body.readableBytes) == body)
            #expect(server.accepted == 1)
        }
    }

    @Test func cancellingARequestEndsItsStreamAlone() async throws {
        try await with { client, server in
            let request = Task { try await client.get(server.url("/hold")) }
            await server.holding.wait()
            request.cancel()
            await #expect(throws: CancellationError.self) { try await request.value }
            await server.reset.wait()
            try await getAll(1, client, server)
            #expect(server.accepted == 1)
        }
    }

    @Test func aResetEndsOneExchangeAndSaysWhy() async throws {
        try await with { client, server in
            await #expect {
                _ = try await client.get(server.url("/reset/2"))
            } throws: {
                guard case HTTPClientError.streamReset(code: 2) = $0 else { return false }
                return true
            }
            try await getAll(1, client, server)
            #expect(server.accepted == 1)
        }
    }

    @Test func whatTheServerRefusesIsTriedAgainButNotForEver() async throws {
        try await with { client, server in
            let refused = HTTP2ErrorCode.refusedStream.networkCode
            await #expect {
                _ = try await client.get(server.url("/reset/\(refused)"))
            } throws: {
                guard case HTTPClientError.streamReset(code: refused) = $0 else { return false }
                return true
            }
            #expect(server.resets > 1)
        }
    }

    @Test func afterAGoAwayRequestsTakeAnotherConnection() async throws {
        try await with { client, server in
            try await #expect(client.get(server.url("/goaway")).text() == "1")
            try await #expect(client.get(server.url()).text() == "2")
            #expect(server.accepted == 2)
        }
    }

    @Test func whatAGoAwayLeavesOutIsSentOnAnotherConnection() async throws {
        try await with { client, server in
            let left = Task { try await client.get(server.url("/hold-once")).text() }
            await server.holding.wait()
            // The first stream is that of the request which waits, and no other is named.
            try await #expect(client.get(server.url("/goaway/0")).text() == "2")
            try await #expect(left.value == "2")
        }
    }

    @Test func aStreamedBodyIsNotSentTwice() async throws {
        try await with { client, server in
            let refused = HTTP2ErrorCode.refusedStream.networkCode
            let body = HTTPBody.stream(AsyncStream([ByteBuffer(string: "once")]))
            await #expect(throws: HTTPClientError.self) {
                try await client.post(server.url("/reset/\(refused)"), body: body)
            }
            #expect(server.resets == 1)
        }
    }

    @Test func aStreamThatContradictsItselfEndsAlone() async throws {
        try await with { client, server in
            let other = Task { try await client.get(server.url("/hold")) }
            await server.holding.wait()
            await #expect(throws: HTTPClientError.self) { _ = try await client.get(server.url("/short")).text() }
            try await getAll(1, client, server)
            #expect(server.accepted == 1)
            other.cancel()
            _ = try? await other.value
        }
    }

    @Test func aConnectionThatEndsFailsItsRequestAndIsReplaced() async throws {
        try await with { client, server in
            await #expect {
                _ = try await client.post(server.url("/close"), body: .text(""))
            } throws: {
                guard case HTTPClientError.connectionClosed = $0 else { return false }
                return true
            }
            try await #expect(client.get(server.url()).text() == "2")
        }
    }

    @Test func aConnectionWithoutRequestsIsClosedAfterAWhile() async throws {
        try await with {
            $0.keepAlive = .zero
        } _: { client, server in
            try await #expect(client.get(server.url()).text() == "1")
            await server.closed.wait()
            try await #expect(client.get(server.url()).text() == "2")
        }
    }

    @Test func shutdownEndsWhatIsUnderWay() async throws {
        try await with { client, server in
            let request = Task { try await client.get(server.url("/hold")) }
            await server.holding.wait()
            await client.shutdown()
            await #expect {
                _ = try await request.value
            } throws: {
                guard case HTTPClientError.clientShutDown = $0 else { return false }
                return true
            }
        }
    }

    @Test func theDeadlineEndsAStreamAlone() async throws {
        try await with {
            $0.totalTimeout = .seconds(3)
        } _: { client, server in
            await #expect {
                _ = try await client.get(server.url("/hold"))
            } throws: {
                guard case HTTPClientError.timedOut(.total) = $0 else { return false }
                return true
            }
            try await getAll(1, client, server)
            #expect(server.accepted == 1)
        }
    }

    @Test func aServerWithoutHTTP2IsSpokenToAsBefore() async throws {
        try await with {
            $0.tls.applicationProtocols = ["http/1.1"]
        } _: { client, server in
            // This one takes nothing else.
            await #expect(throws: HTTPClientError.self) { try await client.get(server.url()) }
        }
    }
}

extension AsyncStream where Element: Sendable {
    fileprivate init(_ elements: [Element]) {
        self.init { continuation in
            for element in elements { continuation.yield(element) }
            continuation.finish()
        }
    }
}
