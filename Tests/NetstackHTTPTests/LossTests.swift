// What carries a request goes away: its link, the whole stack, or the client.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import Netstack
import NetstackHTTP
import TestSupport
import Testing

struct LossTests {
    enum Loss: CaseIterable {
        case link, stack, client
    }

    /// How far a request has come by then.
    enum Stage: CaseIterable {
        case dial, handshake, head, body
    }

    @Test(arguments: Loss.allCases, Stage.allCases)
    func saysWhatHasGone(_ loss: Loss, _ stage: Stage) async throws {
        try await StackPair.with { pair in
            let reached = Event()
            let address = try await stage == .dial ? undecided(pair, reached) : serve(pair.far, stage, reached)
            let client = HTTPClient(stack: pair.near)
            let request = Task {
                let response = try await client.get("\(stage == .handshake ? "https" : "http")://\(address)/")
                reached.happen()
                return try await response.body.collect(upTo: 100)
            }
            await reached.wait()
            switch loss {
            case .link: try await pair.near.removeNIC(1)
            case .stack: await pair.near.shutdown()
            case .client: await client.shutdown()
            }
            // After a client's shutdown nothing of it is left.
            if loss == .client { #expect(await pair.near.connectionCount == 0) }
            await #expect { try await request.value } throws: { error in
                let error = error as? HTTPClientError
                if case .clientShutDown? = error { return loss == .client }
                return switch (loss, error?.underlying as? NetstackError) {
                case (.link, .linkDown), (.stack, .stackShutDown): true
                default: false
                }
            }
            await client.shutdown()
            #expect(await pair.near.connectionCount == 0)
            await pair.far.shutdown()
        }
    }

    /// An address where nobody decides about connections.
    private func undecided(_ pair: StackPair, _ reached: Event) async throws -> TransportAddress {
        let held = NIOLockedValueBox<TCPConnectionRequest?>(nil)
        try await pair.far.handleConnections(on: 1) { request in
            held.withLockedValue { $0 = request }
            reached.happen()
        }
        return TransportAddress(StackPair.farAddress, 80)
    }

    /// A server that says no more than it must for a stage.
    private func serve(_ stack: Stack, _ stage: Stage, _ reached: Event) async throws -> TransportAddress {
        let listener = try await stack.listen(port: 0)
        Task {
            guard let connection = try await listener.first(where: { _ in true }) else { return }
            _ = try await connection.read()
            if stage == .body {
                try await connection.write(.init(string: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
            } else {
                reached.happen()
            }
            while try await connection.read() != nil {}
        }
        return TransportAddress(StackPair.farAddress, listener.localAddress.port)
    }
}

extension HTTPClientError {
    fileprivate var underlying: (any Error)? {
        switch self {
        case .connectFailed(_, let underlying), .tls(let underlying): underlying
        case .connectionClosed(let underlying): underlying
        default: nil
        }
    }
}
