// What servers are sent.

import HTTPTypes
import NIOCore
import NetstackHTTP
import TestSupport
import Testing

struct RequestTests {
    /// Sends a request to a server that answers with the head it has got.
    private func echoedHead(
        on address: String = "127.0.0.1", _ send: @escaping (HTTPClient, RawServer) async throws -> HTTPClientResponse
    ) async throws -> [String] {
        var lines: [String] = []
        try await RawServer.run(on: address) { connection in
            guard let head = try await connection.head() else { return }
            try await connection.send("HTTP/1.0 200 OK\r\n\r\n\(head)")
        } while: { server in
            try await HTTPClient.with { client in
                let text = try await send(client, server).text()
                lines = text.split(separator: "\r\n").map(String.init)
            }
        }
        return lines
    }

    @Test func sendsNothingNobodyAskedFor() async throws {
        var port = 0
        let head = try await echoedHead { client, server in
            port = server.port
            return try await client.get(server.url("/a/b?c=d#e"), headerFields: [.accept: "*/*"])
        }
        #expect(head == ["GET /a/b?c=d HTTP/1.1", "Host: 127.0.0.1:\(port)", "Accept: */*"])
    }

    @Test func putsIPv6AddressesInBrackets() async throws {
        var port = 0
        let head = try await echoedHead(on: "::1") { client, server in
            port = server.port
            return try await client.get(server.url())
        }
        #expect(head == ["GET / HTTP/1.1", "Host: [::1]:\(port)"])
    }

    @Test func framesTheRequestItself() async throws {
        let head = try await echoedHead { client, server in
            var request = HTTPRequest(
                method: .put, scheme: "http", authority: "\(server.host):\(server.port)", path: nil)
            request.headerFields[.contentLength] = "100"
            request.headerFields[.transferEncoding] = "gzip, chunked"
            return try await client.execute(request, body: nil)
        }
        #expect(head.first == "PUT / HTTP/1.1")
        #expect(head.dropFirst(2) == ["Content-Length: 0"])
    }

    @Test func sendsStreamsOfUnknownLengthInChunks() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            let wire = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
            try await connection.send(ServerConnection.ok("\(try await connection.text(wire.utf8.count) == wire)"))
        } while: { server in
            try await HTTPClient.with { client in
                let chunks = ["abc", "", "defg"].map { ByteBuffer(string: $0) }.async
                try await #expect(client.post(server.url(), body: .stream(chunks)).text() == "true")
            }
        }
    }

    @Test("fails when a stream is not as long as declared", arguments: [2, 4])
    func failsOnAnotherLength(_ declared: Int) async throws {
        try await RawServer.run {
            try await $0.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                await #expect {
                    let chunks = ["a", "bc"].map { ByteBuffer(string: $0) }.async
                    _ = try await client.post(server.url(), body: .stream(chunks, length: declared))
                } throws: { error in
                    guard case HTTPClientError.bodyLengthMismatch(declared, 3) = error else { return false }
                    return true
                }
            }
        }
    }

    @Test func failsAsTheStreamDoes() async throws {
        struct Failure: Error {}
        try await RawServer.run { connection in
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                let chunks = AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: Failure()) }
                await #expect(throws: Failure.self) {
                    _ = try await client.post(server.url(), body: .stream(chunks))
                }
                await server.ended.wait()
            }
        }
    }

    @Test func stopsSendingWhatTheServerRefuses() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong")
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                let endless = AsyncStream<ByteBuffer> { ByteBuffer(repeating: 0, count: 1 << 16) }
                let response = try await client.post(server.url(), body: .stream(endless))
                #expect(response.status == .contentTooLarge)
                try await #expect(response.text() == "long")
            }
        }
    }

    @Test func takesAWholeResponseFromAServerThatDoesNotWaitForTheRequest() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("enough"))
        } while: { server in
            try await HTTPClient.with { client in
                let silent = AsyncStream<ByteBuffer> { _ in }
                let response = try await client.post(server.url(), body: .stream(silent))
                try await #expect(response.text() == "enough")
            }
        }
    }

    @Test("refuses requests it can't send")
    func refusesRequests() async throws {
        try await HTTPClient.with { client in
            for request in [
                HTTPRequest(method: .connect, scheme: "http", authority: "a", path: "/"),
                HTTPRequest(method: .get, scheme: nil, authority: "a", path: "/"),
                HTTPRequest(method: .get, scheme: "http", authority: nil, path: "/"),
            ] {
                await #expect {
                    _ = try await client.execute(request)
                } throws: { error in
                    guard case HTTPClientError.invalidRequest = error else { return false }
                    return true
                }
            }
            for path in ["x", "/ HTTP/1.1\r\nX: y", "*"] {
                let request = HTTPRequest(method: .get, scheme: "http", authority: "a", path: path)
                await #expect {
                    _ = try await client.execute(request)
                } throws: { error in
                    guard case HTTPClientError.invalidURL = error else { return false }
                    return true
                }
            }
        }
    }
}

extension Array where Element: Sendable {
    var async: AsyncStream<Element> {
        AsyncStream { continuation in
            for element in self { continuation.yield(element) }
            continuation.finish()
        }
    }
}
