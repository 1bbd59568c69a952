// Which segments get as far as TCP, and the packets that its own leave in.

import NIOCore
import SwiftStack
import TestSupport
import Testing

@Suite struct SegmentInputTests {
    /// RFC 9293 section 3.1 (MUST-2, MUST-3); the length is odd, so that the sum has a half word.
    @Test(arguments: [IPVersion.v4, .v6])
    func aSegmentWithAWrongChecksumIsDropped(_ version: IPVersion) async throws {
        try await Endpoint.with { stack, _, endpoint in
            let (address, peer) = version.ends
            let syn = tcpPacket(.syn, from: peer, to: address, payload: pattern(7))
            for index in IPHeader.minimumLength(version)..<syn.readableBytes {
                var damaged = syn
                damaged.setInteger((syn.getInteger(at: index, as: UInt8.self) ?? 0) ^ 1, at: index)
                try await endpoint.write(damaged)
            }
            // Zero is no checksum, unlike UDP's.
            var unchecked = syn
            unchecked.setInteger(UInt16(0), at: IPHeader.minimumLength(version) + 16)
            try await endpoint.write(unchecked)
            try await endpoint.expectNoAnswer()
            #expect(await stack.connectionCount == 0)
            try await endpoint.write(syn)
            #expect(try await endpoint.segment().tcp.flags == [.syn, .ack])
        }
    }

    /// RFC 9293 section 3.9.2.3 (MUST-57, MUST-63). A promiscuous NIC would take them in for anybody.
    @Test(arguments: [false, true])
    func segmentsFromAndToBroadcastAndMulticastAddressesAreDropped(_ promiscuous: Bool) async throws {
        try await Endpoint.with(promiscuous: promiscuous) { stack, _, endpoint in
            for (version, text) in [
                (.v4, "255.255.255.255"), (.v4, "224.0.0.1"), (.v4, "239.1.2.3"), (.v4, "0.0.0.0"), (.v6, "ff02::1"),
                (.v6, "ff0e::1"), (.v6, "::"),
            ] as [(IPVersion, String)] {
                let (address, peer) = version.ends
                let nobody = TransportAddress(try IPAddress(text), 80)
                for flags in [.syn, .ack, [.fin, .ack]] as [TCPHeader.Flags] {
                    try await endpoint.write(tcpPacket(flags, from: peer, to: nobody))
                    try await endpoint.write(tcpPacket(flags, from: nobody, to: address))
                }
            }
            try await endpoint.expectNoAnswer()
            #expect(await stack.connectionCount == 0)
        }
    }

    /// RFC 9293 section 3.9.2.1 (MUST-50), RFC 1122 section 3.2.1.8: record route, timestamp, router alert, one nobody knows.
    @Test(arguments: [
        [7, 7, 4, 0, 0, 0, 0, 0], [68, 8, 5, 0, 0, 0, 0, 0], [1, 1, 1, 1, 148, 4, 0, 0], [99, 4, 1, 2],
    ])
    func optionsOfIPAreSkippedAndNotReturned(_ options: [UInt8]) async throws {
        try await Endpoint.with { _, _, endpoint in
            let (address, peer) = IPVersion.v4.ends
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address).withIPOptions(options))
            let answer = try await endpoint.segment()
            #expect(answer.tcp.flags == [.syn, .ack])
            #expect(answer.ip.headerLength == 20)
        }
    }

    /// RFC 9293 section 3.9.2.1: loose and strict source routes, done with or not. What is refused needs no way back.
    @Test(arguments: [131, 137], [4, 8])
    func aSourceRouteIsRefused(_ type: UInt8, _ pointer: UInt8) async throws {
        try await Endpoint.with { _, _, endpoint in
            let (address, peer) = IPVersion.v4.ends
            let options: [UInt8] = [type, 7, pointer, 10, 9, 9, 9, 0]
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address).withIPOptions(options))
            try await endpoint.expectNoAnswer()
        }
    }

    /// RFC 1122 section 3.2.1.7, RFC 6864 section 4.1, RFC 2474: in the segments of a connection, and in the reset of a port
    /// where nobody is. lwIP's have a hop limit of 255.
    @Test(arguments: [IPVersion.v4, .v6])
    func segmentsOfTCPInSwiftLeaveWithAHopLimitOf64AndInAtomicPackets(_ version: IPVersion) async throws {
        try await Endpoint.with(.swift) { _, listener, endpoint in
            let (address, peer) = version.ends
            try await endpoint.write(tcpPacket(.syn, from: peer, to: address))
            let answer = try await endpoint.segment()
            try await endpoint.write(
                tcpPacket(.ack, from: peer, to: address, sequence: 2, acknowledgment: answer.tcp.sequenceNumber &+ 1))
            let connection = try #require(await listener.first { _ in true })
            try await connection.write("data")
            let data = try await endpoint.segment { $0.length == 4 }
            // Nobody acknowledges them.
            let again = try await endpoint.segment { $0.length == 4 }
            try await endpoint.write(tcpPacket(.syn, from: peer, to: TransportAddress(address.address, 81)))
            let refusal = try await endpoint.segment { $0.tcp.flags.contains(.rst) }
            for segment in [answer, data, again, refusal] {
                #expect(segment.ip.hopLimit == 64)
                #expect(segment.ip.dontFragment)
                // IPv4's type of service and identification; IPv6's traffic class and flow label.
                let first = try #require(segment.packet.getInteger(at: 0, as: UInt32.self))
                #expect(version == .v4 ? first >> 16 == 0x4500 : first == 0x6000_0000)
                if version == .v4 { #expect(segment.packet.getInteger(at: 4, as: UInt16.self) == 0) }
            }
            await connection.reset()
        }
    }
}

extension ByteBuffer {
    /// This IPv4 packet with options behind its fixed header. Their length is a multiple of four.
    fileprivate func withIPOptions(_ options: [UInt8]) -> ByteBuffer {
        var packet = getSlice(at: 0, length: 20) ?? ByteBuffer()
        packet.writeBytes(options)
        packet.writeBytes(readableBytesView.dropFirst(20))
        packet.setInteger(UInt8(0x45 + options.count / 4), at: 0)
        packet.setInteger(UInt16(packet.readableBytes), at: 2)
        packet.setInteger(UInt16(0), at: 10)
        var checksum = InternetChecksum()
        checksum.add(packet.readableBytesSpan.extracting(0..<20 + options.count))
        packet.setInteger(checksum.value, at: 10)
        return packet
    }
}
