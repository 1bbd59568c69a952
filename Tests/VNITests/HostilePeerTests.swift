// A peer on the link that sends what no honest one would. Nothing crashes, leaks or stalls.

import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

/// An interface with a hostile peer on its link, and an honest server behind it if it is an exit.
private struct Target: Sendable {
    let interface: VirtualInterface
    let peer: MemoryLink
    /// Keeps what comes back from filling the link.
    let drain: Task<Void, Never>

    init(_ mode: VirtualInterface.Mode, limits: Stack.Limits = .init()) async throws {
        let (near, far) = MemoryLink.pipe()
        var configuration = VirtualInterface.Configuration.quiet(mode)
        configuration.limits = limits
        interface = try await VirtualInterface(configuration, link: near, stack: StacksUnderTest.near)
        peer = far
        if mode == .exit { try interface.exposeRoute("192.168.1.1/32", to: "127.0.0.1") }
        drain = Task { while let batch = try? await far.readBatch() { _ = batch.count } }
    }

    var address: IPAddress { VirtualInterface.defaultAddresses(interface.mode)[0] }

    /// Waits until the stack has seen all that was written before: a write waits for room, and the statistics for the loop.
    func settle(after packets: Int) async throws {
        while try await interface.stack.statistics(of: VirtualInterface.nic).packetsReceived < packets {
            await Task.yield()
        }
    }

    func end() async {
        await interface.shutdown()
        #expect(await interface.stack.connectionCount == 0)
        drain.cancel()
    }
}

private let bothModes = [VirtualInterface.Mode.entrance, .exit]
private let attacker = IPAddress.v4(IPv4Address(10, 66, 6, 6))

@Suite struct HostilePeerTests {
    @Test(arguments: bothModes)
    func randomAndMutatedPacketsDoNoHarm(_ mode: VirtualInterface.Mode) async throws {
        let target = try await Target(mode)
        var random = SystemRandomNumberGenerator()
        let sound = [
            segment(.syn, from: attacker, to: target.address, port: 80),
            segment(.ack, from: attacker, to: target.address, port: 80),
            datagram(from: attacker, to: target.address, 600), echoRequest(from: attacker, to: target.address),
        ]
        let count = 30_000
        for index in 0..<count {
            var packet = sound[index % sound.count]
            switch index % 3 {
            case 0:
                packet = ByteBuffer(bytes: (0..<Int.random(in: 0...200)).map { _ in UInt8.random(in: 0...255) })
            case 1:
                for _ in 0..<Int.random(in: 1...4) {
                    let at = Int.random(in: 0..<packet.readableBytes, using: &random)
                    packet.setInteger(UInt8.random(in: 0...255), at: at)
                }
            default:
                packet = packet.getSlice(at: 0, length: Int.random(in: 0...packet.readableBytes)) ?? packet
            }
            // An empty packet is none.
            if packet.readableBytes == 0 { packet.writeInteger(UInt8(0x45)) }
            try await target.peer.write(packet)
        }
        try await target.settle(after: count)
        #expect(try await target.interface.stack.statistics(of: 1).dropped[.malformed] > count / 4)
        await target.end()
    }

    @Test(arguments: bothModes)
    func packetsWithImpossibleAddressesAreDropped(_ mode: VirtualInterface.Mode) async throws {
        let target = try await Target(mode)
        let own = target.address
        let packets = try [
            // "Land": the source is the destination, or our own.
            segment(.syn, from: own, to: own, port: 80),
            segment(.syn, from: own, to: IPAddress("192.168.1.1"), port: 80),
            segment(.syn, from: IPAddress("127.0.0.1"), to: own, port: 80),
            segment(.syn, from: attacker, to: IPAddress("127.0.0.1"), port: 80),
            segment(.syn, from: IPAddress("0.0.0.0"), to: own, port: 80),
            segment(.syn, from: IPAddress("255.255.255.255"), to: own, port: 80),
            segment(.syn, from: IPAddress("224.0.0.1"), to: own, port: 80),
            segment(.syn, from: attacker, to: IPAddress("0.0.0.1"), port: 80),
            segment(.syn, from: IPAddress("::1"), to: IPAddress("fd11::1"), port: 80),
            segment(.syn, from: IPAddress("fd11::2"), to: IPAddress("::ffff:127.0.0.1"), port: 80),
        ]
        for packet in packets { try await target.peer.write(packet) }
        try await target.settle(after: packets.count)
        #expect(try await target.interface.stack.statistics(of: 1).dropped[.martian] == packets.count)
        #expect(try await target.interface.stack.statistics(of: 1).packetsSent == 0)
        await target.end()
    }

    @Test(arguments: bothModes)
    func endlessFragmentsStayWithinTheirMemory(_ mode: VirtualInterface.Mode) async throws {
        var limits = Stack.Limits()
        limits.reassemblyBytes = 65536
        let target = try await Target(mode, limits: limits)
        let count = 5000
        for index in 0..<count {
            // First fragments of datagrams that are never completed, and every other time overlapping seconds.
            var packet = datagram(from: attacker, to: target.address, 1000)
            packet.setInteger(UInt16(truncatingIfNeeded: index / 2), at: 4)
            packet.setInteger(UInt16(0x2000) | UInt16(index % 2 * 10), at: 6)
            fixChecksum(&packet)
            try await target.peer.write(packet)
        }
        try await target.settle(after: count)
        #expect(try await target.interface.stack.statistics(of: 1).dropped[.fragmentOverlap] > count / 4)
        await target.end()
    }

    @Test func aSYNFloodIsBoundedAndOthersGoOn() async throws {
        let server = try KernelServer.echo()
        var limits = Stack.Limits()
        limits.halfOpenConnections = 100
        let target = try await Target(.exit, limits: limits)
        let honest = try await Tunnel(.memory)
        let connection = try await honest.connect(port: server.port)
        let host = try IPAddress("192.168.1.1")
        let count = 5000
        for index in 0..<count {
            let source = IPAddress.v4(IPv4Address(10, 66, UInt8(index / 250), UInt8(index % 250 + 1)))
            try await target.peer.write(segment(.syn, from: source, to: host, port: server.port))
        }
        try await target.settle(after: count)
        #expect(try await target.interface.stack.statistics(of: 1).dropped[.connectionLimit] >= count - 200)
        #expect(await target.interface.stack.connectionCount <= 100)
        try await connection.write("still here")
        #expect(try await connection.read(exactly: 10) == ByteBuffer(string: "still here"))
        await target.end()
        await honest.shutdown()
    }

    @Test func resetsInEveryStateDoNoHarm() async throws {
        let server = try KernelServer.echo()
        let target = try await Target(.exit)
        let host = try IPAddress("192.168.1.1")
        var count = 0
        for flags in [[UInt8]](
            repeating: [0x02, 0x04, 0x14, 0x10, 0x01, 0x11, 0x12, 0x18, 0x38, 0x3f, 0x00, 0x29], count: 50
        ).joined() {
            try await target.peer.write(segment(.init(rawValue: flags), from: attacker, to: host, port: server.port))
            count += 1
        }
        try await target.settle(after: count)
        await target.end()
    }
}

// MARK: - Packets

private func segment(
    _ flags: TCPHeader.Flags, from source: IPAddress, to destination: IPAddress, port: UInt16
) -> ByteBuffer {
    tcpPacket(flags, from: TransportAddress(source, 40_000), to: TransportAddress(destination, port))
}

private func datagram(from source: IPAddress, to destination: IPAddress, _ length: Int) -> ByteBuffer {
    var packet = ByteBuffer()
    try? UDPHeader.write(
        pattern(length), from: TransportAddress(source, 1000), to: TransportAddress(destination, 53), into: &packet)
    return packet
}

private func echoRequest(from source: IPAddress, to destination: IPAddress) -> ByteBuffer {
    var packet = ByteBuffer()
    let echo = ICMPEcho(identifier: 1, sequenceNumber: 1, payload: pattern(56))
    try? ICMPMessage.echoRequest(echo).write(from: source, to: destination, into: &packet)
    return packet
}

private func fixChecksum(_ packet: inout ByteBuffer) {
    packet.setInteger(UInt16(0), at: 10)
    var checksum = InternetChecksum()
    checksum.add(packet.readableBytesSpan.extracting(0..<20))
    packet.setInteger(checksum.value, at: 10)
}
