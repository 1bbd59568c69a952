// Following redirects.

import HTTPTypes
import NIOCore
import NetstackHTTP
import Testing

struct RedirectTests {
    /// A server that redirects every path but /end, where it answers with what it was sent.
    private func withRedirects(
        _ status: Int, to location: String = "/end", policy: HTTPClient.RedirectPolicy = .follow(max: 3),
        _ test: @escaping (HTTPClient, RawServer) async throws -> Void
    ) async throws {
        try await RawServer.run { connection in
            while let head = try await connection.head() {
                let length = head.firstRange(of: "Content-Length: ").map { head[$0.upperBound...] }
                let body = try await connection.text(length.flatMap { Int($0.prefix { $0.isNumber }) } ?? 0)
                let target = head.split(separator: " ")[1]
                if target.hasPrefix("/end") {
                    try await connection.send(ServerConnection.ok("\(head)\n\(body)"))
                } else {
                    try await connection.send(
                        "HTTP/1.1 \(status) X\r\nLocation: \(location)\r\nContent-Length: 5\r\n\r\nmoved")
                }
            }
        } while: { server in
            try await HTTPClient.with {
                $0.redirects = policy
            } _: {
                try await test($0, server)
            }
        }
    }

    @Test func returnsThemUnlessToldToFollow() async throws {
        try await withRedirects(302, policy: .never) { client, server in
            let response = try await client.get(server.url())
            #expect(response.status == .found)
            #expect(response.headerFields[.location] == "/end")
            try await #expect(response.text() == "moved")
        }
    }

    @Test func aBodyThatDoesNotEndHoldsNothingUp() async throws {
        try await RawServer.run { connection in
            guard let head = try await connection.head() else { return }
            if head.hasPrefix("GET /end") {
                try await connection.send(ServerConnection.ok("end"))
            } else {
                try await connection.send("HTTP/1.1 301 X\r\nLocation: /end\r\nContent-Length: 5\r\n\r\nmov")
            }
            // Until the client closes it.
            _ = try await connection.head()
        } while: { server in
            try await HTTPClient.with {
                $0.redirects = .follow(max: 1)
            } _: { client in
                try await #expect(client.get(server.url("/start")).text() == "end")
                #expect(server.accepted == 2)
            }
        }
    }

    @Test(
        "follows on the same connection", arguments: ["/end", "end", "./x/../end?q", "//HOST/end", "http://HOST/end"])
    func follows(_ location: String) async throws {
        // The location needs the port, which is known once the server runs.
        try await RawServer.run { connection in
            try await connection.answerAll { _, head in
                guard !head.hasPrefix("GET /end") else { return ServerConnection.ok("end") }
                let host = head.split(separator: "\r\n")[1].dropFirst("Host: ".count)
                let location = location.replacing("HOST", with: host)
                return "HTTP/1.1 301 X\r\nLocation: \(location)\r\nContent-Length: 0\r\n\r\n"
            }
        } while: { server in
            try await HTTPClient.with {
                $0.redirects = .follow(max: 1)
            } _: { client in
                try await #expect(client.get(server.url("/start")).text() == "end")
                #expect(server.accepted == 1)
            }
        }
    }

    @Test(
        "changes the method as browsers do",
        arguments: [
            (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"),
            (308, "POST", "POST"),
            (301, "PUT", "PUT"), (303, "PUT", "GET"), (307, "DELETE", "DELETE"),
        ])
    func changesTheMethod(_ status: Int, _ method: String, _ next: String) async throws {
        try await withRedirects(status) { client, server in
            let request = HTTPRequest(
                method: try #require(.init(method)), scheme: "http", authority: "\(server.host):\(server.port)",
                path: "/", headerFields: [.contentType: "text/plain"])
            let text = try await client.execute(request, body: .text("abc")).text()
            #expect(text.hasPrefix("\(next) /end "))
            #expect(text.hasSuffix("\nabc") == (next == method))
            #expect(text.contains("Content-Type") == (next == method))
        }
    }

    @Test func returnsARedirectThatNeedsAStreamAgain() async throws {
        try await withRedirects(307) { client, server in
            let body = HTTPBody.stream([ByteBuffer(string: "abc")].async, length: 3)
            try await #expect(client.post(server.url(), body: body).status == .temporaryRedirect)
        }
    }

    @Test func stopsAtTheLimit() async throws {
        try await withRedirects(302, to: "/again") { client, server in
            await #expect {
                _ = try await client.get(server.url())
            } throws: { error in
                guard case HTTPClientError.tooManyRedirects(limit: 3) = error else { return false }
                return true
            }
        }
    }

    @Test func refusesToLeadElsewhereThanToHTTP() async throws {
        try await withRedirects(302, to: "file:///etc/passwd") { client, server in
            await #expect {
                _ = try await client.get(server.url())
            } throws: { error in
                guard case HTTPClientError.invalidURL("file:///etc/passwd", _) = error else { return false }
                return true
            }
        }
    }

    @Test func keepsCredentialsToTheirOrigin() async throws {
        let credentials: HTTPFields = [.authorization: "Basic eDp5", .cookie: "a=b", .accept: "*/*"]
        try await withRedirects(302) { client, server in
            let same = try await client.get(server.url(), headerFields: credentials).text()
            #expect(same.contains("Authorization: Basic eDp5") && same.contains("Cookie: a=b"))
            try await RawServer.run { connection in
                try await connection.answerAll { _, _ in
                    "HTTP/1.1 302 X\r\nLocation: \(server.url("/end"))\r\nContent-Length: 0\r\n\r\n"
                }
            } while: { other in
                let crossed = try await client.get(other.url(), headerFields: credentials).text()
                #expect(!crossed.contains("Authorization") && !crossed.contains("Cookie"))
                #expect(crossed.contains("Accept: */*"))
            }
        }
    }
}
