// Long packets in fragments, and back.

import NIOCore
import Netstack
import Testing

@Suite struct FragmenterTests {
    private static let addresses = [SamplePacket.v4, SamplePacket.v6]

    @Test(arguments: [576, 1280, 1500], [IPVersion.v4, .v6])
    func theLongestDatagramsSurviveFragmentation(mtu: Int, version: IPVersion) throws {
        let (source, destination) = version == .v4 ? SamplePacket.v4 : SamplePacket.v6
        var random = SplitMix64(seed: UInt64(mtu))
        for length in [65_507, 65_500, mtu, 3 * mtu] {
            let packet = try datagram(random.bytes(length), source, destination)
            let fragments = try fragments(of: packet, mtu: mtu)
            var reassembler = Reassembler()
            for (index, fragment) in fragments.enumerated() {
                #expect(fragment.readableBytes <= mtu)
                let outcome = try reassembler.add(fragment)
                if index < fragments.count - 1 {
                    #expect(outcome == .incomplete)
                } else {
                    let reassembled = try #require(outcome.packet)
                    #expect(withoutIdentification(reassembled) == withoutIdentification(packet))
                }
            }
            #expect(reassembler.byteCount == 0)
        }
    }

    @Test func leavesPacketsThatFitAsTheyAre() throws {
        for (source, destination) in Self.addresses {
            let packet = try datagram([UInt8](repeating: 1, count: 1000), source, destination)
            #expect(try fragments(of: packet, mtu: packet.readableBytes) == [packet])
            #expect(try fragments(of: packet, mtu: packet.readableBytes - 1).count == 2)
        }
    }

    @Test func fillsTheMTUAsFarAsUnitsOf8BytesAllow() throws {
        let v4 = try datagram([UInt8](repeating: 1, count: 3000), SamplePacket.v4.host, SamplePacket.v4.peer)
        #expect(try fragments(of: v4, mtu: 1500).map(\.readableBytes) == [1500, 1500, 68])
        #expect(try fragments(of: v4, mtu: 1499).map(\.readableBytes) == [1492, 1492, 84])
        let v6 = try datagram([UInt8](repeating: 1, count: 3000), SamplePacket.v6.host, SamplePacket.v6.peer)
        #expect(try fragments(of: v6, mtu: 1500).map(\.readableBytes) == [1496, 1496, 160])
    }

    @Test func marksFragmentsAsTheRFCsSay() throws {
        let v4 = try datagram([UInt8](repeating: 1, count: 2000), SamplePacket.v4.host, SamplePacket.v4.peer)
        let headers = try fragments(of: v4, mtu: 1500).map { try IPHeader(parsing: $0.readableBytesSpan) }
        #expect(headers.map(\.fragment?.offset) == [0, 1480])
        #expect(headers.map(\.fragment?.isLast) == [false, true])
        #expect(headers[0].fragment?.identification == headers[1].fragment?.identification)
        #expect(headers.allSatisfy { $0.upperLayerProtocol == .udp && $0.hopLimit == 64 })
        let flags = try fragments(of: v4, mtu: 1500).map { $0.getInteger(at: $0.readerIndex + 6, as: UInt16.self) }
        #expect(flags == [0x2000, 185])
    }

    @Test func numbersEachDatagram() throws {
        let packet = try datagram([UInt8](repeating: 1, count: 2000), SamplePacket.v6.host, SamplePacket.v6.peer)
        let header = try IPHeader(parsing: packet.readableBytesSpan)
        var fragmenter = Fragmenter()
        var batch = PacketBatch()
        for _ in 0..<3 { fragmenter.append(packet, header, mtu: 1500, to: &batch) }
        let identifications = try batch.map { try IPHeader(parsing: $0.readableBytesSpan).fragment?.identification }
        #expect(batch.count == 6)
        #expect(Set(identifications).count == 3)
    }

    @Test func addsNothingIfTheMTUHasNoRoomForPayload() throws {
        let packet = try datagram([UInt8](repeating: 1, count: 100), SamplePacket.v4.host, SamplePacket.v4.peer)
        #expect(try fragments(of: packet, mtu: 27).isEmpty)
        #expect(try fragments(of: packet, mtu: 28).count == 14)
    }
}

/// A UDP packet.
func datagram(_ payload: [UInt8], _ source: IPAddress, _ destination: IPAddress) throws -> ByteBuffer {
    var packet = ByteBuffer()
    try UDPHeader.write(
        ByteBuffer(bytes: payload), from: TransportAddress(source, 1), to: TransportAddress(destination, 2),
        into: &packet)
    return packet
}

func fragments(of packet: ByteBuffer, mtu: Int) throws -> [ByteBuffer] {
    var fragmenter = Fragmenter()
    var batch = PacketBatch()
    try fragmenter.append(packet, IPHeader(parsing: packet.readableBytesSpan), mtu: mtu, to: &batch)
    return Array(batch)
}

/// IPv4 packets in fragments get an identification and lose Don't Fragment.
private func withoutIdentification(_ packet: ByteBuffer) -> [UInt8] {
    var bytes = Array(packet.readableBytesView)
    guard bytes[0] >> 4 == 4 else { return bytes }
    bytes.replaceSubrange(4..<8, with: [0, 0, 0, 0])
    return fixingHeaderChecksum(bytes)
}

extension Reassembler.Outcome {
    var packet: ByteBuffer? {
        if case .complete(let packet) = self { packet } else { nil }
    }
}

extension Reassembler {
    /// Takes a fragment, at a time of no importance.
    mutating func add(_ packet: ByteBuffer, at now: NIODeadline = .uptimeNanoseconds(0)) throws -> Outcome {
        try add(IPHeader(parsing: packet.readableBytesSpan), packet: packet.readableBytesSpan, now: now)
    }
}
