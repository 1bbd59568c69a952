// Large bodies in both directions: nothing may pile up.

import NIOCore
import NetstackHTTP
import TestSupport
import Testing

struct StreamingTests {
    private static let chunk = ByteBuffer(repeating: 0x61, count: 1 << 16)
    private static let chunkCount = 4096
    private static let total = chunkCount << 16
    /// More than the buffers of two kernel sockets and of the client's pipeline hold, and far less than a body.
    private static let bound = 32 << 20

    private func withDownload(
        _ sent: Counter, _ test: @escaping (HTTPClient, RawServer) async throws -> Void
    ) async throws {
        try await RawServer.run { connection in
            while let head = try await connection.head() {
                guard head.hasPrefix("GET /large") else {
                    try await connection.send(ServerConnection.ok("small"))
                    continue
                }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.total)\r\n\r\n")
                for _ in 0..<Self.chunkCount {
                    sent.add(Self.chunk.readableBytes)
                    try await connection.send(Self.chunk)
                }
            }
        } while: { server in
            try await HTTPClient.with { try await test($0, server) }
        }
    }

    @Test func downloadsWithBoundedMemory() async throws {
        let sent = Counter()
        try await withDownload(sent) { client, server in
            var received = 0
            var outstanding = 0
            for try await chunk in try await client.get(server.url("/large")).body {
                received += chunk.readableBytes
                outstanding = max(outstanding, sent.value - received)
            }
            #expect(received == Self.total)
            #expect(outstanding < Self.bound)
            try await #expect(client.get(server.url("/small")).text() == "small")
            #expect(server.accepted == 1)
        }
    }

    @Test func stopsReadingWhileNobodyAsks() async throws {
        let sent = Counter()
        try await withDownload(sent) { client, server in
            let response = try await client.get(server.url("/large"))
            // Time for the server to send everything, were it not held back.
            for _ in 0..<200 { try await #expect(client.get(server.url("/small")).text() == "small") }
            #expect(sent.value < Self.bound)
            var received = 0
            for try await chunk in response.body { received += chunk.readableBytes }
            #expect(received == Self.total)
        }
    }

    @Test("uploads with bounded memory", arguments: [total, nil])
    func uploads(_ length: Int?) async throws {
        // Each chunk is preceded by its length, and the last by a chunk of none.
        let framing = length == nil ? Self.chunkCount * "10000\r\n\r\n".utf8.count + "0\r\n\r\n".utf8.count : 0
        let expected = Self.total + framing
        let received = Counter()
        let outstanding = Counter()
        try await RawServer.run { connection in
            _ = try await connection.head()
            while received.value < expected, let bytes = try await connection.receive() {
                received.add(bytes.readableBytes)
            }
            try await connection.send(ServerConnection.ok("\(received.value)"))
        } while: { server in
            try await HTTPClient.with { client in
                let produced = Counter()
                let chunks = AsyncStream<ByteBuffer> {
                    guard produced.value < Self.total else { return nil }
                    produced.add(Self.chunk.readableBytes)
                    let excess = produced.value - received.value - outstanding.value
                    if excess > 0 { outstanding.add(excess) }
                    return Self.chunk
                }
                let response = try await client.post(server.url(), body: .stream(chunks, length: length))
                try await #expect(response.text() == "\(expected)")
                #expect(outstanding.value < Self.bound)
            }
        }
    }

    @Test func streamsBothWaysAtOnce() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            // Each letter comes after the one before has been sent back.
            for _ in 1...6 { try await connection.send(connection.text(1)) }
            try await connection.untilClosed()
        } while: { server in
            try await HTTPClient.with { client in
                let letters = AsyncStream.makeStream(of: ByteBuffer.self)
                letters.continuation.yield(ByteBuffer(string: "a"))
                let response = try await client.post(server.url(), body: .stream(letters.stream, length: 6))
                var rest = Array("bcdef")
                var received = ""
                for try await chunk in response.body {
                    received += String(buffer: chunk)
                    if rest.isEmpty {
                        letters.continuation.finish()
                    } else {
                        letters.continuation.yield(ByteBuffer(string: String(rest.removeFirst())))
                    }
                }
                #expect(received == "abcdef")
            }
        }
    }

    @Test func sendsLargeBodiesOfBytes() async throws {
        try await RawServer.run { connection in
            _ = try await connection.head()
            var count = 0
            while count < 1 << 24, let bytes = try await connection.receive() { count += bytes.readableBytes }
            try await connection.send(ServerConnection.ok("\(count)"))
        } while: { server in
            try await HTTPClient.with { client in
                let body = HTTPBody.bytes(ByteBuffer(repeating: 0, count: 1 << 24))
                try await #expect(client.post(server.url(), body: body).text() == "\(1 << 24)")
            }
        }
    }
}
