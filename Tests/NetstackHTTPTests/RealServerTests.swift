// TLS, and servers that others wrote.

import Foundation
import HTTPTypes
import NIOCore
import NIOSSL
import Netstack
import NetstackHTTP
import TestSupport
import Testing
import VNI

@Suite(.enabled(if: ChildProcess.isInstalled("openssl")))
struct TLSTests {
    /// Runs a server with a self-signed certificate.
    private func withServer(
        for names: String = "DNS:localhost,IP:127.0.0.1",
        _ script: @escaping RawServer.Script = { try await $0.answerAll() },
        _ test: @escaping (RawServer, NIOSSLCertificate) async throws -> Void
    ) async throws {
        try await TLSIdentity.with(names) { identity in
            let context = try identity.serverContext()
            try await RawServer.run(tls: context, script) { try await test($0, identity.certificate) }
        }
    }

    @Test("fetches over TLS and keeps the connection", arguments: ["localhost", "127.0.0.1"])
    func fetches(_ host: String) async throws {
        try await withServer { server, certificate in
            try await HTTPClient.with {
                $0.tls.trustRoots = .certificates([certificate])
            } _: { client in
                for number in 1...3 {
                    let response = try await client.get(server.url(scheme: "https", host: host))
                    try await #expect(response.text() == "\(number)")
                }
                #expect(server.accepted == 1)
            }
        }
    }

    @Test func isNotRedirectedToPlainText() async throws {
        try await withServer { connection in
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 308 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        } _: { server, certificate in
            try await HTTPClient.with {
                $0.tls.trustRoots = .certificates([certificate])
                $0.redirects = .follow(max: 3)
            } _: { client in
                try await #expect(client.get(server.url(scheme: "https")).status.code == 308)
            }
        }
    }

    @Test func refusesACertificateItDoesNotTrust() async throws {
        try await withServer { server, _ in
            try await HTTPClient.with { client in
                await #expect {
                    _ = try await client.get(server.url(scheme: "https", host: "localhost"))
                } throws: { error in
                    guard case HTTPClientError.tls = error else { return false }
                    return true
                }
            }
        }
    }

    @Test("refuses a certificate for another server", arguments: ["127.0.0.1", "other.example"])
    func refusesAnother(_ host: String) async throws {
        try await withServer(for: "DNS:localhost") { server, certificate in
            var configuration = HTTPClient.Configuration()
            configuration.tls.trustRoots = .certificates([certificate])
            let client = HTTPClient(dialer: LoopbackDialer(), configuration: configuration)
            await #expect {
                _ = try await client.get(server.url(scheme: "https", host: host))
            } throws: { error in
                guard case HTTPClientError.tls = error else { return false }
                return true
            }
            await client.shutdown()
        }
    }

    @Test func reportsAServerThatDoesNotSpeakTLS() async throws {
        try await RawServer.run {
            try await $0.send("HTTP/1.1 400 Bad Request\r\n\r\n")
        } while: { server in
            try await HTTPClient.with { client in
                await #expect {
                    _ = try await client.get(server.url(scheme: "https"))
                } throws: { error in
                    guard case HTTPClientError.tls = error else { return false }
                    return true
                }
            }
        }
    }

    @Test func takesATruncatedBodyForAnError() async throws {
        // The connection's end ends this body, and TLS has not said that it is the end.
        try await withServer { connection in
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\n\r\nhello")
            let channel = connection.channel
            try await channel.eventLoop.submit {
                try channel.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self).close(promise: nil)
            }.get()
        } _: { server, certificate in
            try await HTTPClient.with {
                $0.tls.trustRoots = .certificates([certificate])
            } _: { client in
                let response = try await client.get(server.url(scheme: "https"))
                await #expect {
                    _ = try await response.text()
                } throws: { error in
                    guard case HTTPClientError.connectionClosed = error else { return false }
                    return true
                }
            }
        }
    }

    @Test func downloadsLargeBodies() async throws {
        let total = 1 << 26
        try await withServer { connection in
            _ = try await connection.head()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(total)\r\n\r\n")
            let chunk = ByteBuffer(repeating: 0, count: 1 << 18)
            for _ in 0..<(total >> 18) { try await connection.send(chunk) }
        } _: { server, certificate in
            try await HTTPClient.with {
                $0.tls.trustRoots = .certificates([certificate])
            } _: { client in
                var received = 0
                for try await chunk in try await client.get(server.url(scheme: "https")).body {
                    received += chunk.readableBytes
                }
                #expect(received == total)
            }
        }
    }
}

extension TLSTests {
    @Test func fetchesByNameThroughATunnel() async throws {
        try await withServer(for: "DNS:web.example") { server, certificate in
            try await Tunnel.with(.memory) { tunnel in
                var configuration = HTTPClient.Configuration()
                configuration.tls.trustRoots = .certificates([certificate])
                let client = HTTPClient(
                    stack: tunnel.entrance.stack, nic: VirtualInterface.nic,
                    resolver: FixedResolver(name: "web.example", addresses: [Tunnel.host]), configuration: configuration
                )
                for number in 1...3 {
                    let response = try await client.get(server.url(scheme: "https", host: "web.example"))
                    try await #expect(response.text() == "\(number)")
                }
                #expect(server.accepted == 1)
                await #expect(throws: (any Error).self) { try await client.get("https://elsewhere.example/") }
                await client.shutdown()
            }
        }
    }
}

/// Dials 127.0.0.1 whatever the host.
private struct LoopbackDialer: HTTPDialer {
    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        try await KernelDialer().dial(host: "127.0.0.1", port: port, deadline: deadline)
    }
}

@Suite(.enabled(if: ChildProcess.isInstalled("python3")))
struct PythonServerTests {
    /// Runs Python's own web server on a folder with a file in it.
    private func withServer(_ test: (String, Data) async throws -> Void) async throws {
        try await withFolder { folder in
            let content = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try content.write(to: URL(fileURLWithPath: "\(folder)/file.bin"))
            try await ChildProcess.with([
                "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder,
            ]) { server in
                // "Serving HTTP on 127.0.0.1 port 40000 (http://127.0.0.1:40000/) ..."
                let line = try await server.line { $0.contains("(http") }
                try await test(String(#require(line.split { "()".contains($0) }.dropFirst().first)), content)
            }
        }
    }

    @Test func fetchesFiles() async throws {
        try await withServer { url, content in
            try await HTTPClient.with { client in
                let response = try await client.get("\(url)file.bin")
                #expect(response.status == .ok)
                #expect(response.headerFields[.contentLength] == "\(content.count)")
                let body = try await response.body.collect(upTo: content.count)
                #expect(body.readableBytesView.elementsEqual(content))
            }
        }
    }

    @Test func fetchesHeadsAndErrors() async throws {
        try await withServer { url, content in
            try await HTTPClient.with { client in
                let head = try await client.head("\(url)file.bin")
                #expect(head.status == .ok)
                #expect(head.headerFields[.contentLength] == "\(content.count)")
                try await #expect(head.text() == "")
                try await #expect(client.get("\(url)missing").status == .notFound)
                let response = try await client.post(url, body: .text("x"))
                #expect(response.status == .notImplemented)
                try await #expect(response.text().contains("Unsupported method"))
            }
        }
    }
}

@Suite(.enabled(if: ChildProcess.isInstalled("openssl") && ChildProcess.isInstalled("nghttpd")))
struct NGHTTP2ServerTests {
    /// Runs the server of nghttp2, which speaks nothing but HTTP/2, and sends back what is posted.
    private func withServer(_ test: (String, TLSIdentity) async throws -> Void) async throws {
        try await TLSIdentity.with { identity in
            try await ChildProcess.with([
                "nghttpd", "--address=127.0.0.1", "--echo-upload", "0", identity.keyFile, identity.certificateFile,
            ]) { server in
                try await test("https://localhost:\(server.listeningPort())/", identity)
            }
        }
    }

    @Test func sendsAndFetchesManyBodiesAtOnce() async throws {
        try await withServer { url, identity in
            try await HTTPClient.with {
                $0.tls.trustRoots = .certificates([identity.certificate])
            } _: { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<30 {
                        group.addTask {
                            let body = pattern(100_000, from: number)
                            let response = try await client.post(url, body: .bytes(body))
                            #expect(response.status == .ok)
                            try await #expect(response.body.collect(upTo: 100_000) == body)
                        }
                    }
                    try await group.waitForAll()
                }
                try await #expect(client.get("\(url)missing").status == .notFound)
            }
        }
    }

    @Test func throughATunnelByName() async throws {
        try await withServer { url, identity in
            try await Tunnel.with(.tcp) { tunnel in
                var configuration = HTTPClient.Configuration()
                configuration.tls.trustRoots = .certificates([identity.certificate])
                let client = HTTPClient(
                    stack: tunnel.entrance.stack, nic: VirtualInterface.nic,
                    resolver: FixedResolver(name: "localhost", addresses: [Tunnel.host]), configuration: configuration)
                let body = pattern(4_000_000)
                let response = try await client.post(url, body: .bytes(body))
                try await #expect(response.body.collect(upTo: 4_000_000) == body)
                await client.shutdown()
            }
        }
    }
}

extension ChildProcess {
    /// The port at which it listens, once it does: of the kernel, for programs that do not say.
    fileprivate func listeningPort() async throws -> Int {
        while FileManager.default.fileExists(atPath: "/proc/\(id)/fd") {
            // Foundation reads no more of such a file than one piece.
            let table = try await ChildProcess.run(["cat", "/proc/net/tcp"]).output
            let own = sockets
            // Number, local address, remote address, state (0A: listening) … inode.
            for fields in table.split(separator: "\n").map({ $0.split(separator: " ") })
            where fields.count > 9 && fields[3] == "0A" && own.contains("socket:[\(fields[9])]") {
                if let port = fields[1].split(separator: ":").last.flatMap({ Int($0, radix: 16) }) { return port }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Failure(program: "\(id)", reason: "has ended")
    }

    private var sockets: Set<String> {
        let files = FileManager.default
        // Until then, it has those of this process.
        guard let program = try? files.destinationOfSymbolicLink(atPath: "/proc/\(id)/exe"),
            program != (try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe")),
            let descriptors = try? files.contentsOfDirectory(atPath: "/proc/\(id)/fd")
        else { return [] }
        return Set(descriptors.compactMap { try? files.destinationOfSymbolicLink(atPath: "/proc/\(id)/fd/\($0)") })
    }
}
