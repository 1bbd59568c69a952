// Which requests share connections, as the server counts them.

import HTTPTypes
import NIOCore
import NetstackHTTP
import TestSupport
import Testing

struct ConnectionReuseTests {
    @Test func sendsOneRequestAfterTheOtherOnOneConnection() async throws {
        try await RawServer.run {
            try await $0.answerAll()
        } while: { server in
            try await HTTPClient.with { client in
                for number in 1...3 { try await #expect(client.get(server.url()).text() == "\(number)") }
                try await #expect(client.post(server.url(), body: .text("")).text() == "4")
                #expect(server.accepted == 1)
            }
        }
    }

    @Test func opensAConnectionForEachRequestUnderWay() async throws {
        try await RawServer.run {
            try await $0.answerAll { _, head in
                ServerConnection.ok(String(head.prefix { $0 != "\r\n" }))
            }
        } while: { server in
            try await HTTPClient.with { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 1...50 {
                        group.addTask {
                            let text = try await client.get(server.url("/\(number)")).text()
                            #expect(text == "GET /\(number) HTTP/1.1")
                        }
                    }
                    try await group.waitForAll()
                }
                #expect((1...50).contains(server.accepted))
            }
        }
    }

    @Test(
        "closes when either side says so",
        arguments: [
            ServerConnection.ok("x", "Connection: close\r\n"), "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        ])
    func closes(_ reply: String) async throws {
        try await RawServer.run {
            try await $0.answerAll { _, _ in reply }
        } while: { server in
            try await HTTPClient.with { client in
                for _ in 1...2 { try await #expect(client.get(server.url()).text() == "x") }
                #expect(server.accepted == 2)
            }
        }
    }

    @Test func keepsAnHTTP10ConnectionTheServerKeeps() async throws {
        let reply = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"
        try await RawServer.run {
            try await $0.answerAll { _, _ in reply }
        } while: { server in
            try await HTTPClient.with { client in
                for _ in 1...2 { try await #expect(client.get(server.url()).text() == "x") }
                #expect(server.accepted == 1)
            }
        }
    }

    @Test func closesWhenTheRequestSaysSo() async throws {
        try await RawServer.run {
            try await $0.answerAll()
        } while: { server in
            try await HTTPClient.with { client in
                for _ in 1...2 {
                    try await #expect(client.get(server.url(), headerFields: [.connection: "close"]).text() == "1")
                }
                #expect(server.accepted == 2)
            }
        }
    }

    @Test("sends an idempotent request again when its kept connection closes under it")
    func retries() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("\(connection.number)"))
            // Takes a second request and closes without an answer.
            _ = try await connection.head()
        } while: { server in
            try await HTTPClient.with { client in
                for number in 1...3 { try await #expect(client.get(server.url()).text() == "\(number)") }
                #expect(server.accepted == 3)
            }
        }
    }

    @Test("does not send another request again")
    func doesNotRetry() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("\(connection.number)"))
            _ = try await connection.head()
        } while: { server in
            try await HTTPClient.with { client in
                try await #expect(client.get(server.url()).text() == "1")
                await #expect {
                    _ = try await client.post(server.url(), body: .text("x"))
                } throws: { error in
                    guard case HTTPClientError.connectionClosed = error else { return false }
                    return true
                }
                #expect(server.accepted == 1)
            }
        }
    }

    @Test func doesNotUseAConnectionTheServerHasClosed() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("\(connection.number)"))
        } while: { server in
            let dialer = RecordingDialer()
            let client = HTTPClient(dialer: dialer)
            try await #expect(client.post(server.url(), body: .text("x")).text() == "1")
            try await dialer.channels.first?.closeFuture.get()
            // A POST would not be sent again.
            try await #expect(client.post(server.url(), body: .text("x")).text() == "2")
            await client.shutdown()
        }
    }

    @Test func closesAConnectionWhoseResponseIsDropped() async throws {
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                try await #expect(client.get(server.url()).status == .ok)
                await closed.wait()
            }
        }
    }

    @Test func closesAConnectionWhoseBodyIsLeftHalfRead() async throws {
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                for try await chunk in try await client.get(server.url()).body {
                    #expect(chunk.readableBytes > 0)
                    break
                }
                await closed.wait()
            }
        }
    }

    @Test func closesConnectionsThatWaitTooLong() async throws {
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            try await connection.answerAll()
        } while: { server in
            try await HTTPClient.with {
                $0.keepAlive = .milliseconds(10)
            } _: { client in
                try await #expect(client.get(server.url()).text() == "1")
                await closed.wait()
            }
        }
    }

    @Test func closesAConnectionOnWhichTheServerSpeaksUnasked() async throws {
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.head()
            try await connection.send(ServerConnection.ok("x") + ServerConnection.ok("y"))
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                try await #expect(client.get(server.url()).text() == "x")
                await closed.wait()
            }
        }
    }

    @Test func endsEverythingAtShutdown() async throws {
        let asked = Event()
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            _ = try await connection.head()
            asked.happen()
            try await connection.untilClosed()
        } while: { server in
            let client = HTTPClient(dialer: KernelDialer())
            let response = Task { try await client.get(server.url()) }
            await asked.wait()
            await client.shutdown()
            await closed.wait()
            await #expect {
                _ = try await response.value
            } throws: { error in
                guard case HTTPClientError.clientShutDown = error else { return false }
                return true
            }
            await #expect {
                _ = try await client.get(server.url())
            } throws: { error in
                guard case HTTPClientError.clientShutDown = error else { return false }
                return true
            }
        }
    }

    @Test func closesWaitingConnectionsWhenTheClientGoes() async throws {
        let closed = Event()
        try await RawServer.run { connection in
            defer { closed.happen() }
            try await connection.answerAll()
        } while: { server in
            try await #expect(HTTPClient(dialer: KernelDialer()).get(server.url()).text() == "1")
            await closed.wait()
        }
    }
}
