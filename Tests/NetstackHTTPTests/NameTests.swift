// Host names in URLs: who is asked for their addresses.

import Netstack
import NetstackHTTP
import TestSupport
import Testing
import VNI

struct NameTests {
    /// Runs `body` with a server on the exit's loopback, and a tunnel whose exit knows it as `web.internal`.
    private func with(
        exit configure: @escaping (inout VirtualInterface.Configuration) -> Void = { _ in },
        _ body: @escaping @Sendable (Tunnel, RawServer) async throws -> Void
    ) async throws {
        try await RawServer.run { connection in
            try await connection.answerAll { _, head in ServerConnection.ok(head) }
        } while: { server in
            try await Tunnel.with(
                .memory,
                exit: {
                    // The first address has nothing behind it.
                    $0.lookUpNames = table(["web.internal": ["192.0.2.1", "\(Tunnel.host)"]])
                    configure(&$0)
                }
            ) { tunnel in
                await tunnel.entrance.stack.setPatience([.seconds(600)])
                try await body(tunnel, server)
            }
        }
    }

    /// Why a client can't connect.
    private func failure(_ client: HTTPClient, _ url: String) async throws -> NetstackError? {
        let error = await #expect(throws: HTTPClientError.self) { try await client.get(url) }
        guard case .connectFailed(_, let underlying)? = error else { return nil }
        return underlying as? NetstackError
    }

    @Test func namesOfTheExitsNetworkAreResolvedThere() async throws {
        try await with { tunnel, server in
            let client = HTTPClient(stack: tunnel.entrance.stack)
            let text = try await client.get(server.url(host: "web.internal")).text()
            #expect(text.contains("Host: web.internal:\(server.port)"))
            let failure = try await failure(client, "http://elsewhere.internal/")
            #expect(failure == .nameNotFound("elsewhere.internal"))
            await client.shutdown()
        }
    }

    @Test func anEntrancesNamesAreAskedOfNobodyElse() async throws {
        try await with(exit: { $0.answersNames = false }) { tunnel, server in
            let client = HTTPClient(stack: tunnel.entrance.stack)
            let last = try #require(tunnel.entrance.stack.nameServers.last)
            let failure = try await failure(client, server.url(host: "web.internal"))
            #expect(failure == .prohibited(TransportAddress(last, 53)))
            await client.shutdown()
        }
    }

    @Test func withoutNameServersTheSystemIsAsked() async throws {
        try await with { tunnel, server in
            tunnel.entrance.stack.nameServers = []
            let client = HTTPClient(stack: tunnel.entrance.stack)
            // A name to the system only, which takes it for an address: one that no stack can dial.
            let failure = try await failure(client, server.url(host: "127.1"))
            #expect(failure == .addressNotAvailable(.v4(.loopback), reason: "it is a loopback address"))
            await client.shutdown()
        }
    }
}
