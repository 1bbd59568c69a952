// UDP datagrams, read and written.

import NIOCore
import Netstack
import Testing

@Suite struct UDPHeaderTests {
    private static let samples = [
        (SamplePacket.v4.host, SamplePacket.v4.peer, SamplePacket.udp4),
        (SamplePacket.v6.host, SamplePacket.v6.peer, SamplePacket.udp6),
    ]

    @Test(arguments: samples)
    func readsAndWritesTheSame(source: IPAddress, destination: IPAddress, packet: [UInt8]) throws {
        let datagram = try parseUDP(packet)
        #expect(datagram.sourcePort == 5353)
        #expect(datagram.destinationPort == 53)
        #expect(datagram.payload == 8..<13)

        var buffer = ByteBuffer(string: "before")
        try UDPHeader.write(
            ByteBuffer(string: "hello"), from: TransportAddress(source, 5353), to: TransportAddress(destination, 53),
            into: &buffer)
        buffer.moveReaderIndex(forwardBy: 6)
        #expect(Array(buffer.readableBytesView) == packet)
    }

    @Test(arguments: samples)
    func refusesDamage(_: IPAddress, _: IPAddress, packet: [UInt8]) throws {
        let header = try parseHeader(packet)
        for index in header.payload {
            var damaged = packet
            damaged[index] ^= 0x10
            #expect(throws: PacketFault.self) { try parseUDP(damaged) }
        }
    }

    @Test func acceptsAMissingChecksumOverIPv4Only() throws {
        var v4 = SamplePacket.udp4
        v4.replaceSubrange(26..<28, with: [0, 0])
        #expect(try parseUDP(v4).payload.count == 5)
        var v6 = SamplePacket.udp6
        v6.replaceSubrange(46..<48, with: [0, 0])
        #expect(throws: PacketFault.checksum) { try parseUDP(v6) }
    }

    @Test func refusesALengthBelowTheHeaderOrBeyondThePacket() {
        for length: UInt8 in [0, 7, 14] {
            var packet = SamplePacket.udp4
            packet.replaceSubrange(25..<28, with: [length, 0, 0])
            #expect(throws: PacketFault.totalLength) { try parseUDP(packet) }
        }
    }

    @Test func leavesOutWhatTheLengthDoesNotCount() throws {
        var packet = SamplePacket.udp4 + [0xee, 0xee]
        packet[3] += 2
        #expect(try parseUDP(fixingHeaderChecksum(packet)).payload == 8..<13)
    }

    @Test func writesAllOnesForAChecksumOfZero() throws {
        let from = TransportAddress(SamplePacket.v4.host, 5353)
        let to = TransportAddress(SamplePacket.v4.peer, 53)
        var buffer = ByteBuffer()
        try UDPHeader.write(ByteBuffer(bytes: [0, 0]), from: from, to: to, into: &buffer)
        // A payload of the checksum itself brings the sum to zero.
        let checksum = try #require(buffer.getBytes(at: 26, length: 2))
        buffer.clear()
        try UDPHeader.write(ByteBuffer(bytes: checksum), from: from, to: to, into: &buffer)
        #expect(buffer.getInteger(at: 26, as: UInt16.self) == 0xffff)
        #expect(try parseUDP(Array(buffer.readableBytesView)).payload.count == 2)
    }

    @Test(arguments: samples)
    func writesTheLongestPayloadAndNoLonger(source: IPAddress, destination: IPAddress, _: [UInt8]) throws {
        let limit = UDPHeader.maximumPayloadLength(source.version)
        #expect(limit == (source.version == .v4 ? 65_507 : 65_527))
        let (from, to) = (TransportAddress(source, 1), TransportAddress(destination, 2))
        var buffer = ByteBuffer()
        try UDPHeader.write(ByteBuffer(repeating: 7, count: limit), from: from, to: to, into: &buffer)
        #expect(try parseUDP(Array(buffer.readableBytesView)).payload.count == limit)
        buffer.clear()
        #expect(throws: NetstackError.datagramTooLong(limit + 1, limit: limit)) {
            try UDPHeader.write(ByteBuffer(repeating: 7, count: limit + 1), from: from, to: to, into: &buffer)
        }
        #expect(buffer.readableBytes == 0)
    }
}
