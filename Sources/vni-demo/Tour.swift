// What the demo shows: each step of the main job, checked, timed, and told in a table.

import Crypto
import HTTPTypes
import NIOCore
import Netstack
import NetstackHTTP
import VNI

/// Runs the steps through an entrance. What answers are real servers on this machine's loopback.
struct Tour {
    /// Addresses of the tunnel that lead to the exit host's loopback.
    static let host = "192.168.1.1"
    static let host6 = "fd11::1"
    private static let bodySize = 64 << 20

    private let entrance: VirtualInterface
    private let link: Demo.LinkKind

    init(_ entrance: VirtualInterface, link: Demo.LinkKind) {
        self.entrance = entrance
        self.link = link
    }

    /// - Returns: whether everything went as it should.
    func run() async throws -> Bool {
        let server = try await LoopbackServer.start(bodySize: Self.bodySize)
        let echo = try await LoopbackEcho.start()
        let client = HTTPClient(stack: entrance.stack)
        var table = Table()
        print("Tunnel over a \(link.rawValue) link: entrance → exit → real servers on loopback\n")

        await table.add("GET /") {
            let response = try await client.get("http://\(Self.host):\(server.port)/")
            let page = try await response.body.collect(upTo: 1 << 16)
            try check(response.status == .ok && page == LoopbackServer.page, "another page came back")
            return "\(response.status.code), \(page.readableBytes) bytes"
        }
        await table.add("GET / over IPv6") {
            let response = try await client.get("http://[\(Self.host6)]:\(server.port6)/")
            let page = try await response.body.collect(upTo: 1 << 16)
            try check(page == LoopbackServer.page, "another page came back")
            return "\(response.status.code), \(page.readableBytes) bytes"
        }
        await table.add("GET 64 MiB, SHA-256") {
            let response = try await client.get("http://\(Self.host):\(server.port)/body")
            var hash = SHA256()
            var progress = Progress(total: Self.bodySize)
            for try await bytes in response.body {
                bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
                progress.advance(bytes.readableBytes)
            }
            let rate = progress.finish()
            try check(hash.finalize() == server.digest, "the body's SHA-256 is wrong")
            return "digest right, \(rate)"
        }
        await table.add("dial a closed port") {
            let closed = TransportAddress(try IPAddress(Self.host), try await LoopbackServer.closedPort())
            do {
                _ = try await entrance.stack.connect(to: closed)
            } catch NetstackError.refused {
                return "refused, as it should be"
            }
            throw ChildProcess.Failure(what: "a closed port answered")
        }
        await table.add("dial what is not exposed") {
            do {
                _ = try await entrance.stack.connect(to: TransportAddress("192.168.1.2:80"))
            } catch NetstackError.prohibited {
                return "prohibited, as it should be"
            }
            throw ChildProcess.Failure(what: "an address outside of the routes answered")
        }
        await table.add("UDP there and back") {
            let socket = try await entrance.stack.openUDP()
            let sent = ByteBuffer(repeating: 0x5a, count: 60_000)
            try await socket.send(sent, to: TransportAddress(IPAddress(Self.host), echo.port))
            let reply = try await socket.receive()
            try check(reply.payload == sent, "another datagram came back")
            return "\(reply.payload.readableBytes) bytes from \(reply.source)"
        }
        await table.add("ping the exit") {
            let exit = VirtualInterface.defaultAddresses(.exit)[0]
            return "\(exit) in \(try await entrance.stack.ping(exit).microseconds) µs"
        }
        table.print()
        await client.shutdown()
        await echo.stop()
        await server.stop()
        return table.succeeded
    }
}

/// Fetches one URL and prints what came back.
struct Fetch {
    private let entrance: VirtualInterface

    init(_ entrance: VirtualInterface) { self.entrance = entrance }

    func run(_ url: String) async -> Bool {
        let client = HTTPClient(stack: entrance.stack)
        var table = Table()
        await table.add("GET \(url)") {
            let response = try await client.get(url)
            var progress = Progress(total: response.headerFields[.contentLength].flatMap { Int($0) })
            for try await bytes in response.body { progress.advance(bytes.readableBytes) }
            return "\(response.status), \(progress.count) bytes, \(progress.finish())"
        }
        table.print()
        await client.shutdown()
        return table.succeeded
    }
}

private func check(_ condition: Bool, _ fault: String) throws {
    if !condition { throw ChildProcess.Failure(what: fault) }
}

extension Duration {
    fileprivate var microseconds: Int64 { components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000 }
}
