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
            ) { try await body($0, server) }
        }
    }

    @Test func namesOfTheExitsNetworkAreResolvedThere() async throws {
        try await with { tunnel, server in
            let client = HTTPClient(stack: tunnel.entrance.stack)
            let text = try await client.get(server.url(host: "web.internal")).text()
            #expect(text.contains("Host: web.internal:\(server.port)"))
            await #expect(throws: NetstackError.nameNotFound("elsewhere.internal")) {
                try await client.get("http://elsewhere.internal/")
            }
            await client.shutdown()
        }
    }

    @Test func anEntrancesNamesAreAskedOfNobodyElse() async throws {
        try await with(exit: { $0.answersNames = false }) { tunnel, server in
            let client = HTTPClient(stack: tunnel.entrance.stack)
            let last = try #require(tunnel.entrance.stack.nameServers.last)
            await #expect(throws: NetstackError.prohibited(TransportAddress(last, 53))) {
                try await client.get(server.url(host: "web.internal"))
            }
            await client.shutdown()
        }
    }

    @Test func withoutNameServersTheSystemIsAsked() async throws {
        try await with { tunnel, server in
            tunnel.entrance.stack.nameServers = []
            let client = HTTPClient(stack: tunnel.entrance.stack)
            // What the system knows: that it is an address no stack can dial.
            await #expect {
                try await client.get(server.url(host: "localhost"))
            } throws: { error in
                if case NetstackError.addressNotAvailable(let address, _) = error { address.isLoopback } else { false }
            }
            await client.shutdown()
        }
    }
}
