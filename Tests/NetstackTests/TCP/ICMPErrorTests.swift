// What ICMP errors do to connections (RFC 9293 section 3.9.2.2, RFC 5927).

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct ICMPErrorTests {
    private static let errors: [(error: ICMPError, failure: @Sendable (TransportAddress) -> NetstackError)] = [
        (.networkUnreachable, { .unreachable($0, .network) }), (.hostUnreachable, { .unreachable($0, .host) }),
        (.protocolUnreachable, { .unreachable($0, .protocol) }), (.portUnreachable, { .unreachable($0, .port) }),
        (.administrativelyProhibited, { .prohibited($0) }), (.hopLimitExceeded, { .unreachable($0, .hopLimit) }),
    ]

    /// Those that say nothing about whether a peer can be reached: source quench, and a parameter problem.
    private static func hints(_ version: IPVersion) -> [ICMPError] {
        version == .v4
            ? [.reassemblyTimeExceeded, .other(type: 4, code: 0), .other(type: 12, code: 0)]
            : [.reassemblyTimeExceeded, .other(type: 4, code: 0)]
    }

    private func tell(
        _ error: ICMPError, _ version: IPVersion, quoting packet: ByteBuffer, on endpoint: Endpoint
    ) async throws {
        let router = try version == .v4 ? IPAddress("10.0.0.254") : IPAddress("fd00::fe")
        var message = ByteBuffer()
        try ICMPMessage.error(error, quoting: packet)
            .write(from: router, to: version.ends.stack.address, into: &message)
        try await endpoint.write(message)
    }

    /// MUST-54, MUST-55, MUST-56; RFC 5927 section 5.2: once a connection is open, none ends it, not even a hard one.
    @Test(arguments: [IPVersion.v4, .v6])
    func noErrorEndsAnOpenConnection(_ version: IPVersion) async throws {
        try await Endpoint.with { _, listener, endpoint in
            let (address, peer) = version.ends
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address, window: 65535))
            let first = try await endpoint.segment().tcp.sequenceNumber &+ 1
            try await endpoint.write(
                tcpPacket(.ack, from: peer, to: address, sequence: 2, acknowledgment: first, window: 65535))
            let connection = try #require(await listener.first { _ in true })
            try await connection.write("in flight")
            let data = try await endpoint.segment { $0.length == 9 }
            for error in Self.errors.map(\.error) + Self.hints(version) {
                try await tell(error, version, quoting: data.packet, on: endpoint)
            }
            try await endpoint.write(
                tcpPacket(
                    [.ack, .psh], from: peer, to: address, sequence: 2, acknowledgment: first &+ 9, window: 65535,
                    payload: pattern(100)))
            #expect(try await connection.read(exactly: 100) == pattern(100))
            try await connection.write("alive")
            #expect(try await endpoint.segment { $0.length == 5 }.tcp.sequenceNumber == first &+ 9)
            await connection.reset()
        }
    }

    /// SHLD-25, SHLD-26; RFC 5461 section 4.1: while it is opening, it hears of what keeps it from that, soft or hard.
    @Test(arguments: [IPVersion.v4, .v6], errors.indices)
    func anErrorAboutTheSYNEndsADial(_ version: IPVersion, _ index: Int) async throws {
        try await dialling(version) { endpoint, syn, dial in
            let (error, failure) = Self.errors[index]
            try await tell(error, version, quoting: syn.packet, on: endpoint)
            await #expect(throws: failure(version.ends.peer)) { try await dial.value }
        }
    }

    /// MUST-55, MUST-56.
    @Test(arguments: [IPVersion.v4, .v6])
    func whatSaysNothingOfThePeerEndsNoDial(_ version: IPVersion) async throws {
        try await dialling(version) { endpoint, syn, dial in
            for error in Self.hints(version) { try await tell(error, version, quoting: syn.packet, on: endpoint) }
            try await expectDialling(dial, syn, endpoint)
        }
    }

    /// RFC 5927 section 4.1: what is quoted has to be in flight, and of this connection.
    @Test(arguments: [IPVersion.v4, .v6])
    func anErrorAboutWhatWasNeverSentEndsNoDial(_ version: IPVersion) async throws {
        try await dialling(version) { endpoint, syn, dial in
            let (local, peer) = (TransportAddress(syn.ip.source, syn.tcp.sourcePort), version.ends.peer)
            let sequence = syn.tcp.sequenceNumber
            for (source, destination, number) in [
                (local, peer, sequence &- 1000), (local, peer, sequence &+ 1000), (local, peer, sequence &+ 1 << 31),
                (TransportAddress(local.address, local.port ^ 1), peer, sequence),
                (local, TransportAddress(peer.address, peer.port ^ 1), sequence),
            ] {
                let quoted = tcpPacket(.syn, from: source, to: destination, sequence: number)
                for (error, _) in Self.errors { try await tell(error, version, quoting: quoted, on: endpoint) }
            }
            // Too short to hold a sequence number.
            let cut = try #require(syn.packet.getSlice(at: 0, length: syn.ip.headerLength + 4))
            try await tell(.portUnreachable, version, quoting: cut, on: endpoint)
            try await expectDialling(dial, syn, endpoint)
        }
    }

    private func dialling(
        _ version: IPVersion, _ body: (Endpoint, HeardSegment, Task<TCPConnection, any Error>) async throws -> Void
    ) async throws {
        try await Endpoint.with { stack, _, endpoint in
            let dial = Task { try await stack.connect(to: version.ends.peer) }
            let syn = try await endpoint.segment()
            #expect(syn.tcp.flags == .syn)
            try await body(endpoint, syn, dial)
        }
    }

    private func expectDialling(
        _ dial: Task<TCPConnection, any Error>, _ syn: HeardSegment, _ endpoint: Endpoint
    ) async throws {
        try await endpoint.write(
            tcpPacket(
                [.syn, .ack], from: TransportAddress(syn.ip.destination, syn.tcp.destinationPort),
                to: TransportAddress(syn.ip.source, syn.tcp.sourcePort), acknowledgment: syn.tcp.sequenceNumber &+ 1))
        try await dial.value.reset()
    }
}
