// What servers may answer, rightly and wrongly.

import HTTPTypes
import NIOCore
import NIOPosix
import NetstackHTTP
import TestSupport
import Testing

struct ResponseTests {
    /// Fetches from a server that sends `reply` in the given pieces and then closes.
    private func fetch(
        _ reply: [String], method: HTTPRequest.Method = .get,
        _ test: @escaping (HTTPClientResponse) async throws -> Void
    ) async throws {
        try await RawServer.run { connection in
            guard try await connection.head() != nil else { return }
            for piece in reply { try await connection.send(piece) }
        } while: { server in
            try await HTTPClient.with { client in
                let request = HTTPRequest(
                    method: method, scheme: "http", authority: "\(server.host):\(server.port)", path: "/")
                try await test(try await client.execute(request))
            }
        }
    }

    @Test func readsAHeadThatComesByteByByte() async throws {
        let reply = "HTTP/1.1 299 Fine\r\nX-One: 1\r\nx-one: 2\r\nContent-Length: 5\r\n\r\nhello"
        try await fetch(reply.map(String.init)) { response in
            #expect(response.status.code == 299)
            let name = try #require(HTTPField.Name("X-One"))
            #expect(response.headerFields[values: name] == ["1", "2"])
            try await #expect(response.text() == "hello")
        }
    }

    @Test func removesChunkedCoding() async throws {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let pieces = [head, "3\r\nabc\r", "\n4;x=y\r\nde", "fg\r\n0\r\nTrailer: t\r\n\r\n"]
        try await fetch(pieces) { response in try await #expect(response.text() == "abcdefg") }
    }

    @Test func readsABodyThatEndsWithTheConnection() async throws {
        try await fetch(["HTTP/1.0 200 OK\r\n\r\n", "abc", "def"]) { response in
            try await #expect(response.text() == "abcdef")
        }
    }

    @Test func skipsInformationalResponses() async throws {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        try await fetch(["HTTP/1.1 100 Continue\r\n\r\n", hints, ServerConnection.ok("x")]) { response in
            #expect(response.status == .ok)
            try await #expect(response.text() == "x")
        }
    }

    @Test("has no body", arguments: [(HTTPRequest.Method.head, 200), (.get, 204), (.get, 304)])
    func hasNoBody(_ method: HTTPRequest.Method, _ status: Int) async throws {
        try await fetch(["HTTP/1.1 \(status) X\r\nContent-Length: 10\r\n\r\n"], method: method) { response in
            #expect(response.status.code == status)
            try await #expect(response.text() == "")
        }
    }

    @Test(
        "reports a body that ends early",
        arguments: BadResponse.cutShort)
    func reportsABodyThatEndsEarly(_ reply: String) async throws {
        try await fetch([reply]) { response in
            var received = ""
            await #expect {
                for try await chunk in response.body { received += String(buffer: chunk) }
            } throws: { error in
                guard case HTTPClientError.connectionClosed = error else { return false }
                return true
            }
            #expect(received == "hello")
        }
    }

    @Test("reports a response that never comes", arguments: [[], ["HTTP/1.1 200 OK\r\nContent-Le"]])
    func reportsAMissingResponse(_ reply: [String]) async throws {
        await #expect {
            try await fetch(reply) { _ in }
        } throws: { error in
            guard case HTTPClientError.connectionClosed = error else { return false }
            return true
        }
    }

    @Test("refuses what is not HTTP/1", arguments: BadResponse.notHTTP)
    func refusesWhatIsNotHTTP(_ reply: String) async throws {
        await #expect {
            try await fetch([reply]) { _ in }
        } throws: { error in
            guard case HTTPClientError.invalidResponse = error else { return false }
            return true
        }
    }

    @Test("refuses chunks that are none", arguments: BadResponse.badlyChunked)
    func refusesChunksThatAreNone(_ reply: String) async throws {
        try await fetch([reply]) { response in
            await #expect {
                try await response.text()
            } throws: { error in
                guard case HTTPClientError.invalidResponse = error else { return false }
                return true
            }
        }
    }

    @Test func refusesABodyLongerThanTheLimit() async throws {
        try await fetch([ServerConnection.ok("hello")]) { response in
            await #expect {
                _ = try await response.body.collect(upTo: 4)
            } throws: { error in
                guard case HTTPClientError.bodyTooLarge(limit: 4) = error else { return false }
                return true
            }
        }
    }

    @Test func reportsThatNobodyListens() async throws {
        let port = try closedPort()
        try await HTTPClient.with { client in
            await #expect {
                _ = try await client.get("http://127.0.0.1:\(port)/")
            } throws: { error in
                guard case HTTPClientError.connectFailed(let origin, _) = error else { return false }
                return origin == "http://127.0.0.1:\(port)"
            }
        }
    }
}
