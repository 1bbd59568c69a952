// Paths that take less than the NIC's MTU, and those who only claim so.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct PathMTUTests {
    private static let options: [UInt8] = [2, 4, 0x05, 0xb4]

    /// Tells the stack that one of its packets was too long, as a router on the way does.
    private func tooBig(_ mtu: Int, quoting packet: ByteBuffer, on endpoint: Endpoint) async throws {
        let header = try IPHeader(parsing: packet.readableBytesSpan)
        var message = ByteBuffer()
        let router = try header.version == .v4 ? IPAddress("10.0.0.254") : IPAddress("fd00::fe")
        try ICMPMessage.error(.packetTooBig(mtu: mtu), quoting: packet)
            .write(from: router, to: header.source, into: &message)
        try await endpoint.write(message)
    }

    private func segment(to peer: TransportAddress = RawPeer.address, at sequence: UInt32) -> ByteBuffer {
        tcpPacket(.ack, from: RawPeer.stackAddress, to: peer, sequence: sequence, payload: pattern(1460))
    }

    /// (the MTU that is told, how far off the quoted sequence number is, the longest segment after that)
    @Test(arguments: [
        (1000, 0, 960), (0, 0, 1459), (68, 0, 536), (1000, 1_000_000, 1460), (9000, 0, 1460),
    ])
    func aConnectionSendsWhatItsPathTakes(_ mtu: Int, _ offset: UInt32, _ longest: Int) async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peer = RawPeer(endpoint)
            try await peer.handshake(window: 65535, options: Self.options)
            let connection = try #require(await listener.first { _ in true })
            async let write: Void = connection.write(pattern(20_000))
            #expect(try await peer.next { !$0.flags.contains(.syn) }.payload.readableBytes == 1460)
            try await tooBig(mtu, quoting: segment(at: peer.stackFirst &+ offset), on: endpoint)
            // Nothing has been acknowledged: all of it comes again, from the first byte. On a machine that stands still
            // for a moment, the retransmission timer has sent it as it was before.
            var again = 0
            while again != longest {
                again = try await peer.next { $0.sequenceNumber == peer.stackFirst }.payload.readableBytes
                #expect(again == longest || again == 1460)
            }
            var received = 0
            while received < 20_000 {
                try await peer.send(.ack, acknowledging: UInt32(received), window: 65535)
                let next = try await peer.next { $0.sequenceNumber == peer.stackFirst &+ UInt32(received) }
                received += next.payload.readableBytes
            }
            try await write
            await connection.reset()
        }
    }

    /// What one connection has been told, another to the same destination is told as well when it finds out.
    @Test func eachConnectionHearsOfItsOwnPackets() async throws {
        try await RawPeer.with { stack, listener, endpoint in
            var peers = [RawPeer(endpoint), RawPeer(endpoint, port: 4001)]
            var connections: [TCPConnection] = []
            for index in peers.indices {
                try await peers[index].handshake(window: 65535, options: Self.options)
                connections.append(try #require(await listener.first { _ in true }))
            }
            for (peer, connection) in zip(peers, connections) {
                try await connection.write(pattern(1460))
                var length = try await peer.next { !$0.flags.contains(.syn) }.payload.readableBytes
                #expect(length == 1460)
                try await tooBig(1000, quoting: segment(to: peer.source, at: peer.stackFirst), on: endpoint)
                while length == 1460 { length = try await peer.next().payload.readableBytes }
                #expect(length == 960)
            }
            for connection in connections { await connection.reset() }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func datagramsAreSplitToWhatTheirPathTakes(_ version: IPVersion) async throws {
        let stack = try Stack(StacksUnderTest.near)
        let endpoint = Endpoint()
        let own = version == .v4 ? StackPair.nearAddress : StackPair.nearAddress6
        try await stack.createNIC(1, endpoint: endpoint, addresses: [own], mtu: 1500)
        try await stack.addRoute(to: version == .v4 ? .everyIPv4 : .everyIPv6, via: 1)
        let socket = try await stack.openUDP()
        let destination = TransportAddress(StackPair.far(version), 53)
        try await socket.send(pattern(1400), to: destination)
        let whole = try #require(await endpoint.read())
        #expect(try IPHeader(parsing: whole.readableBytesSpan).dontFragment)
        try await tooBig(1280, quoting: whole, on: endpoint)
        // The stack has seen the error when it answers what comes after.
        var lengths: [Int] = []
        repeat {
            try await socket.send(pattern(1400), to: destination)
            lengths = [try #require(await endpoint.read()).readableBytes]
        } while lengths[0] > 1280
        lengths.append(try #require(await endpoint.read()).readableBytes)
        let headers = version == .v4 ? 2 * 20 : 2 * 48
        #expect(lengths.reduce(0, +) == 1400 + 8 + headers)
        await stack.shutdown()
    }
}
