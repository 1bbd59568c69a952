// Ports that are listened on beside other uses of them (RFC 9293 section 3.9.1.1), and the addresses that dials leave from.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct ListenerTests {
    private static let (address, peer) = IPVersion.v4.ends

    /// MUST-41: a second listener is refused, and changes nothing for the first and for what it has accepted.
    @Test func listeningTwiceLeavesTheFirstAlone() async throws {
        try await StackPair.with { pair in
            let listener = try await pair.far.listen(port: 80)
            let destination = TransportAddress(StackPair.farAddress, 80)
            let before = try await pair.near.connect(to: destination)
            let accepted = try #require(await listener.first { _ in true })
            await #expect(throws: NetstackError.addressInUse(TransportAddress(.v4(.any), 80))) {
                try await pair.far.listen(port: 80)
            }
            // One for a single address goes first, for what comes from now on.
            let narrow = try await pair.far.listen(port: 80, at: StackPair.farAddress)
            let after = try await pair.near.connect(to: destination)
            let second = try #require(await narrow.first { _ in true })
            #expect(second.remoteAddress == after.localAddress)
            let other = try await pair.near.connect(to: TransportAddress(StackPair.farAddress6, 80))
            #expect(try #require(await listener.first { _ in true }).remoteAddress == other.localAddress)
            try await before.write("still here")
            #expect(try await accepted.read(exactly: 10) == ByteBuffer(string: "still here"))
            await listener.close()
            await narrow.close()
        }
    }

    /// MUST-42: while a connection of the same port is in SYN-SENT, and another in SYN-RECEIVED.
    @Test func aPortIsListenedOnWhileConnectionsOfItAreOpening() async throws {
        try await Endpoint.with { stack, first, endpoint in
            try await endpoint.write(tcpPacket(.syn, from: Self.peer, to: Self.address))
            let opening = try await endpoint.segment { $0.tcp.flags == [.syn, .ack] }
            await first.close()
            let far = TransportAddress(StackPair.farAddress, 9)
            let dial = Task { try await stack.connect(to: far, from: Self.address) }
            let syn = try await endpoint.segment { $0.tcp.flags == .syn }
            #expect(syn.tcp.sourcePort == 80)

            let listener = try await stack.listen(port: 80)
            let other = TransportAddress(StackPair.farAddress, 4001)
            try await endpoint.write(tcpPacket(.syn, from: other, to: Self.address))
            let answer = try await endpoint.segment { $0.tcp.destinationPort == 4001 }
            #expect(answer.tcp.flags == [.syn, .ack])
            try await endpoint.write(
                tcpPacket(
                    .ack, from: other, to: Self.address, sequence: 2, acknowledgment: answer.tcp.sequenceNumber &+ 1))
            let accepted = try #require(await listener.first { _ in true })
            #expect(accepted.remoteAddress == other)
            try await endpoint.write(
                tcpPacket(
                    [.syn, .ack], from: far, to: Self.address, acknowledgment: syn.tcp.sequenceNumber &+ 1))
            #expect(try await dial.value.remoteAddress == far)
            // Its listener has gone; nobody takes it.
            try await endpoint.write(
                tcpPacket(
                    .ack, from: Self.peer, to: Self.address, sequence: 2,
                    acknowledgment: opening.tcp.sequenceNumber &+ 1))
            _ = try await endpoint.segment { $0.tcp.flags.contains(.rst) && $0.tcp.destinationPort == 4000 }
        }
    }

    /// What nobody has taken is bounded: further SYNs get no answer, and are welcome later.
    @Test func aFullBacklogAnswersNoSYN() async throws {
        try await Endpoint.with { stack, _, endpoint in
            let listener = try await stack.listen(port: 81, backlog: 2)
            let address = TransportAddress(Self.address.address, 81)
            func dial(_ port: UInt16) async throws {
                try await endpoint.write(tcpPacket(.syn, from: Self.peer.withPort(port), to: address))
            }
            for port in 4000..<4002 as Range<UInt16> {
                try await dial(port)
                let answer = try await endpoint.segment { $0.tcp.destinationPort == port }
                #expect(answer.tcp.flags == [.syn, .ack])
                let number = answer.tcp.sequenceNumber &+ 1
                try await endpoint.write(
                    tcpPacket(
                        .ack, from: Self.peer.withPort(port), to: address, sequence: 2, acknowledgment: number))
            }
            try await dial(4002)
            // On a busy machine, a SYN-ACK to one of the others may have been sent again.
            try await endpoint.expectNoAnswer { $0.tcp.destinationPort == 4002 }
            let taken = try #require(await listener.first { _ in true })
            #expect(taken.remoteAddress.port == 4000)
            try await dial(4002)
            #expect(try await endpoint.segment { $0.tcp.destinationPort == 4002 }.tcp.flags == [.syn, .ack])
            await listener.close()
        }
    }

    /// MUST-43, MUST-44, MUST-45: a dial's address is that of the NIC which its route leads to, or the one that is asked for.
    @Test func aDialLeavesFromAnAddressOfItsNIC() async throws {
        let stack = try Stack(StacksUnderTest.near)
        let (wide, narrow) = (Endpoint(), Endpoint())
        let addresses = try ["10.0.0.1", "fd00::1", "10.0.0.9"].map { try IPAddress($0) }
        let other = try IPAddress("192.168.0.1")
        try await stack.createNIC(1, endpoint: wide, addresses: addresses)
        try await stack.createNIC(2, endpoint: narrow, addresses: [other])
        try await stack.addRoute(to: .everyIPv4, via: 1)
        try await stack.addRoute(to: .everyIPv6, via: 1)
        try await stack.addRoute(to: CIDRBlock("192.168.0.0/16"), via: 2)
        for (destination, chosen, endpoint, expected) in [
            ("8.8.8.8:9", nil, wide, addresses[0]), ("[2001:db8::9]:9", nil, wide, addresses[1]),
            ("8.8.8.8:9", addresses[2], wide, addresses[2]), ("192.168.1.1:9", nil, narrow, other),
        ] as [(String, IPAddress?, Endpoint, IPAddress)] {
            let destination = try TransportAddress(destination)
            let source = chosen.map { TransportAddress($0, 0) }
            let dial = Task { try await stack.connect(to: destination, from: source) }
            let syn = try await endpoint.segment { $0.tcp.flags == .syn }
            #expect(syn.ip.source == expected)
            let local = TransportAddress(expected, syn.tcp.sourcePort)
            try await endpoint.write(
                tcpPacket([.syn, .ack], from: destination, to: local, acknowledgment: syn.tcp.sequenceNumber &+ 1))
            let connection = try await dial.value
            #expect(connection.localAddress == local)
            try await connection.write("x")
            #expect(try await endpoint.segment { $0.length == 1 }.ip.source == expected)
            await connection.reset()
        }
        await stack.shutdown()
    }
}

extension TransportAddress {
    fileprivate func withPort(_ port: UInt16) -> TransportAddress { TransportAddress(address, port) }
}
