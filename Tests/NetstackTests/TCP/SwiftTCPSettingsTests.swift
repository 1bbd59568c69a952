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

    /// RFC 7323 section 2.2: the scale says how far the window may grow.
    @Test(arguments: [(0, 7), (8 << 20, 7), (64 << 20, 10), (.max, 14)] as [(Int, UInt8)])
    func aLargerWindowHasALargerScale(_ bytes: Int, _ scale: UInt8) async throws {
        try await withDial {
            $0.maximumWindowBytes = bytes
        } _: { endpoint, dial in
            let packet = try #require(await endpoint.read())
            let header = try IPHeader(parsing: packet.readableBytesSpan)
            let segment = packet.readableBytesSpan.extracting(header.payload)
            let end = try TCPHeader(parsing: segment).dataOffset
            let options = try TCPOptions(parsing: segment.extracting(TCPHeader.minimumLength..<end))
            #expect(options.windowScale == scale)
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
        }
    }

    /// (hop limit, code point; as a packet has them)
    @Test(arguments: [(64, 0, 64, 0), (3, 46, 3, 46), (0, 255, 1, 63)] as [(UInt8, UInt8, UInt8, UInt8)])
    func segmentsAreMarkedForRouters(_ hops: UInt8, _ code: UInt8, _ sentHops: UInt8, _ sentCode: UInt8) async throws {
        try await withDial {
            $0.hopLimit = hops
            $0.codePoint = code
        } _: { endpoint, dial in
            let packet = try #require(await endpoint.read())
            #expect(try IPHeader(parsing: packet.readableBytesSpan).hopLimit == sentHops)
            #expect(packet.getInteger(at: 1, as: UInt8.self) == sentCode << 2)
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
