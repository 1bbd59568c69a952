// What a user may choose of TCP in Swift, as a peer sees it.

import NIOCore
import SwiftStack
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SwiftTCPSettingsTests {
    /// A stack with these settings that dials a peer made by hand.
    private func withDial(
        _ change: (inout SwiftTCPSettings) -> Void,
        _ body: (Endpoint, Task<TCPConnection, any Error>) async throws -> Void
    ) async throws {
        var settings = SwiftTCPSettings()
        change(&settings)
        let stack = try Stack(.swift(settings))
        let endpoint = Endpoint()
        try await stack.createNIC(1, endpoint: endpoint, addresses: [StackPair.nearAddress], mtu: 1500)
        try await stack.addRoute(to: .everyIPv4, via: 1)
        let dial = Task { try await stack.connect(to: TransportAddress(StackPair.farAddress, 80)) }
        try await body(endpoint, dial)
        await stack.shutdown()
        #expect(await stack.connectionCount == 0)
    }

    private func segment(_ endpoint: Endpoint) async throws -> (ip: IPHeader, tcp: TCPHeader) {
        let packet = try #require(await endpoint.read())
        let header = try IPHeader(parsing: packet.readableBytesSpan)
        return (header, try TCPHeader(parsing: packet.readableBytesSpan.extracting(header.payload)))
    }

    @Test(arguments: [true, false])
    func aDialAsksForECNIfItIsToldTo(_ asks: Bool) async throws {
        try await withDial {
            $0.asksForECN = asks
        } _: { endpoint, dial in
            let syn = try await segment(endpoint).tcp
            #expect(syn.flags == (asks ? [.syn, .ece, .cwr] : .syn))
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
        }
    }

    @Test func dataThatStayUnacknowledgedEndTheConnectionInTime() async throws {
        try await withDial {
            $0.userTimeout = .milliseconds(300)
        } _: { endpoint, dial in
            let syn = try await segment(endpoint).tcp
            let peer = TransportAddress(StackPair.farAddress, 80)
            try await endpoint.write(
                tcpPacket(
                    [.syn, .ack], from: peer, to: TransportAddress(StackPair.nearAddress, syn.sourcePort), sequence: 1,
                    acknowledgment: syn.sequenceNumber &+ 1, window: 65535))
            let connection = try await dial.value
            try await connection.write("nobody hears this")
            await #expect(throws: NetstackError.timedOut(peer)) { try await connection.read() }
        }
    }
}
