// UDP and echo requests through an exit: mappings, and the errors that come back.

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

@Suite struct ExitDatagramTests {
    /// The port of the exit's host that each of two servers sees a datagram of one socket come from.
    private func portsSeen(endpointIndependent: Bool) async throws -> [UInt16] {
        let observers = [try PortObserver(), try PortObserver()]
        let ports = NIOLockedValueBox<[UInt16]>([])
        try await Tunnel.with(endpointIndependentUDP: endpointIndependent) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            for observer in observers {
                try await socket.send(ByteBuffer(string: "who am I?"), to: TransportAddress(Tunnel.host, observer.port))
                var reply = try await socket.receive()
                #expect(reply.source == TransportAddress(Tunnel.host, observer.port))
                let port: UInt16? = reply.payload.readInteger()
                ports.withLockedValue { $0.append(port ?? 0) }
            }
        }
        return ports.withLockedValue { $0 }
    }

    @Test func eachDestinationHasAMappingOfItsOwn() async throws {
        let ports = try await portsSeen(endpointIndependent: false)
        #expect(ports[0] != ports[1])
    }

    @Test func anEndpointIndependentMappingIsOneForAllDestinations() async throws {
        let ports = try await portsSeen(endpointIndependent: true)
        #expect(ports[0] == ports[1])
    }

    @Test func anEndpointIndependentMappingTellsOfClosedPorts() async throws {
        let port = try closedPort()
        try await Tunnel.with(endpointIndependentUDP: true) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let address = TransportAddress(Tunnel.host, port)
            try await socket.send(ByteBuffer(string: "anyone?"), to: address)
            await #expect(throws: NetstackError.unreachable(address, .port)) { try await socket.receive() }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func aFlowGoesOnAfterItsPortWasClosed(_ version: IPVersion) async throws {
        let port = try closedPort()
        try await Tunnel.with { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let address = TransportAddress(Tunnel.host(version), port)
            for _ in 0..<3 {
                try await socket.send(ByteBuffer(string: "anyone?"), to: address)
                await #expect(throws: NetstackError.unreachable(address, .port)) { try await socket.receive() }
            }
            #expect(await tunnel.exit.exitStatistics?.udpFlows == 1)
        }
    }

    /// Whether the kernel lets this process have echo sockets (net.ipv4.ping_group_range).
    private func mayPing(_ version: IPVersion) -> Bool {
        let number = version == .v4 ? CInt(IPPROTO_ICMP) : CInt(IPPROTO_ICMPV6)
        let descriptor = socket(version == .v4 ? AF_INET : AF_INET6, CInt(SOCK_DGRAM.rawValue), number)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func aPingIsReallyForwardedOrProhibited(_ version: IPVersion) async throws {
        try await Tunnel.with { tunnel in
            let host = Tunnel.host(version)
            if mayPing(version) {
                for size in [0, 56, 8000] {
                    _ = try await tunnel.entrance.stack.ping(host, payloadSize: size, timeout: .seconds(60))
                }
                #expect(await tunnel.exit.exitStatistics?.echoFlows == 1)
            } else {
                await #expect(throws: NetstackError.prohibited(TransportAddress(host, 0))) {
                    try await tunnel.entrance.stack.ping(host, timeout: .seconds(60))
                }
            }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func anExitIsAHopOnTheWay(_ version: IPVersion) async throws {
        let (near, far) = MemoryLink.pipe()
        let exit = try await VirtualInterface(.quiet(.exit), link: far, stack: StacksUnderTest.far)
        let own = VirtualInterface.defaultAddresses(.exit)[version == .v4 ? 0 : 1]
        let source = VirtualInterface.defaultAddresses(.entrance)[version == .v4 ? 0 : 1]
        let from = TransportAddress(source, 40000)
        for isUDP in [true, false] {
            let port: UInt16 = isUDP ? 33434 : 80
            let to = TransportAddress(Tunnel.host(version), port)
            var packet = ByteBuffer()
            if isUDP {
                try UDPHeader.write(ByteBuffer(string: "probe"), from: from, to: to, into: &packet)
            } else {
                packet = tcpPacket(.syn, from: from, to: to)
            }
            setHopLimit(1, &packet)
            try await near.write(packet)
            let answer = try #require(await near.read())
            let header = try IPHeader(parsing: answer.readableBytesSpan)
            #expect(header.source == own)
            #expect(header.destination == source)
            let payload = answer.readableBytesSpan.extracting(header.payload)
            let message = try ICMPMessage(parsing: payload, in: header)
            #expect(message.quotedPort(of: .hopLimitExceeded) == port)
        }
        await exit.shutdown()
    }

    private func setHopLimit(_ limit: UInt8, _ packet: inout ByteBuffer) {
        guard packet.getInteger(at: 0, as: UInt8.self) == 0x45 else {
            packet.setInteger(limit, at: 7)
            return
        }
        packet.setInteger(limit, at: 8)
        packet.setInteger(UInt16(0), at: 10)
        var checksum = InternetChecksum()
        checksum.add(packet.readableBytesSpan.extracting(0..<20))
        packet.setInteger(checksum.value, at: 10)
    }
}

extension ICMPMessage {
    /// The destination port in what an error quotes; nil if it is not that error.
    fileprivate func quotedPort(of expected: ICMPError) -> UInt16? {
        guard case .error(expected, let quote) = self else { return nil }
        return try? ICMPQuotation(parsing: quote.readableBytesSpan).ports?.destination
    }
}

/// A UDP socket of the kernel on 127.0.0.1 that tells each sender its own port.
private final class PortObserver: Sendable {
    let port: UInt16
    private let server: KernelEchoSocket

    init() throws {
        server = try KernelEchoSocket { _, source in
            var reply = ByteBuffer()
            reply.writeInteger(source.port)
            return reply
        }
        port = server.port
    }
}
