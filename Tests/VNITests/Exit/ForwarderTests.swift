// Forwarders on a NIC of a stack of one's own, without a virtual interface.

import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

@Suite struct ForwarderTests {
    @Test func aStackOfOnesOwnForwardsConnectionsAndDatagrams() async throws {
        let server = try KernelServer.echo()
        let peer = try KernelEchoSocket()
        let host = IPAddress.v4(IPv4Address(192, 168, 1, 1))
        let loopback = IPAddress.loopback(.v4)
        try await StackPair.with(farPromiscuous: true) { pair in
            try await TCPForwarder(policy: RecordingPolicy(.redirect(TransportAddress(loopback, server.port))))
                .attach(to: pair.far, nic: 1)
            try await UDPForwarder(policy: RecordingPolicy(.redirect(TransportAddress(loopback, peer.port))))
                .attach(to: pair.far, nic: 1)

            let connection = try await pair.near.connect(to: TransportAddress(host, 80))
            try await connection.write("hello")
            try await connection.closeWrite()
            #expect(try await connection.readToEnd() == ByteBuffer(string: "hello"))

            let socket = try await pair.near.openUDP()
            try await socket.send(ByteBuffer(string: "hello"), to: TransportAddress(host, 53))
            let reply = try await socket.receive()
            #expect(reply.payload == ByteBuffer(string: "hello"))
            #expect(reply.source == TransportAddress(host, 53))
        }
    }

    @Test func aForwardersPolicyProhibits() async throws {
        let destination = try TransportAddress("192.168.1.1:80")
        try await StackPair.with(farPromiscuous: true) { pair in
            let policy = RecordingPolicy(.prohibit)
            try await TCPForwarder(policy: policy).attach(to: pair.far, nic: 1)
            await #expect(throws: NetstackError.prohibited(destination)) {
                try await pair.near.connect(to: destination)
            }
            #expect(await policy.dials.map(\.target) == [destination])
            await #expect(throws: NetstackError.noSuchNIC(7)) {
                try await TCPForwarder(policy: policy).attach(to: pair.far, nic: 7)
            }
        }
    }
}
