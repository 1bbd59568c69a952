// IPv4 and IPv6 headers, options and extension headers.

import NIOCore
import Netstack
import Testing

@Suite struct IPHeaderTests {
    @Test func readsIPv4() throws {
        let header = try parseHeader(SamplePacket.udp4)
        #expect(header.version == .v4)
        #expect(header.source == SamplePacket.v4.host)
        #expect(header.destination == SamplePacket.v4.peer)
        #expect(header.upperLayerProtocol == .udp)
        #expect(header.hopLimit == 64)
        #expect(header.headerLength == 20)
        #expect(header.totalLength == 33)
        #expect(header.fragment == nil)
    }

    @Test func readsIPv6() throws {
        let header = try parseHeader(SamplePacket.udp6)
        #expect(header.version == .v6)
        #expect(header.source == SamplePacket.v6.host)
        #expect(header.destination == SamplePacket.v6.peer)
        #expect(header.upperLayerProtocol == .udp)
        #expect(header.hopLimit == 64)
        #expect(header.headerLength == 40)
        #expect(header.totalLength == 53)
        #expect(header.fragment == nil)
    }

    @Test(arguments: SamplePacket.all)
    func refusesEveryTruncation(packet: [UInt8]) {
        for length in 0..<packet.count {
            #expect(throws: PacketFault.self) { try parseHeader(Array(packet[..<length])) }
        }
    }

    @Test(arguments: SamplePacket.all)
    func leavesOutWhatFollowsThePacket(packet: [UInt8]) throws {
        #expect(try parseHeader(packet + [1, 2, 3]).totalLength == packet.count)
    }

    @Test(arguments: [0, 1, 5, 7, 15] as [UInt8])
    func refusesOtherVersions(version: UInt8) {
        #expect(throws: PacketFault.version(version)) { try parseHeader([version << 4] + SamplePacket.udp4[1...]) }
    }

    @Test func writesWhatItReads() throws {
        for (source, destination) in [SamplePacket.v4, SamplePacket.v6] {
            var buffer = ByteBuffer(string: "before")
            try IPHeader.write(
                source: source, destination: destination, protocol: .udp, hopLimit: 7, payloadLength: 3, to: &buffer)
            buffer.writeString("abc")
            #expect(buffer.readString(length: 6) == "before")
            let header = try IPHeader(parsing: buffer.readableBytesSpan)
            #expect(header.source == source)
            #expect(header.destination == destination)
            #expect(header.hopLimit == 7)
            #expect(header.payload == buffer.readableBytes - 3..<buffer.readableBytes)
        }
    }

    @Test func writesNothingBetweenVersionsOrBeyondALengthField() {
        var buffer = ByteBuffer()
        #expect(throws: NetstackError.self) {
            try IPHeader.write(
                source: SamplePacket.v4.host, destination: SamplePacket.v6.peer, protocol: .udp, payloadLength: 0,
                to: &buffer)
        }
        #expect(throws: NetstackError.datagramTooLong(65_516, limit: 65_515)) {
            try IPHeader.write(
                source: SamplePacket.v4.host, destination: SamplePacket.v4.peer, protocol: .udp,
                payloadLength: 65_516, to: &buffer)
        }
        #expect(buffer.readableBytes == 0)
    }
}

@Suite struct IPv4HeaderTests {
    private func changed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var packet = SamplePacket.udp4
        change(&packet)
        return fixingHeaderChecksum(packet)
    }

    private func withOptions(_ options: [UInt8]) -> [UInt8] {
        changed {
            $0.insert(contentsOf: options, at: 20)
            $0[0] = 0x45 + UInt8(options.count / 4)
            $0[3] += UInt8(options.count)
        }
    }

    @Test func refusesAWrongChecksum() {
        var packet = SamplePacket.udp4
        packet[8] -= 1
        #expect(throws: PacketFault.headerChecksum) { try parseHeader(packet) }
    }

    @Test func refusesAHeaderBelow20Bytes() {
        #expect(throws: PacketFault.headerLength) { try parseHeader([0x44] + SamplePacket.udp4[1...]) }
    }

    @Test func refusesATotalLengthBelowTheHeaderOrBeyondTheBytes() {
        #expect(throws: PacketFault.totalLength) { try parseHeader(changed { $0[3] = 19 }) }
        #expect(throws: PacketFault.totalLength) { try parseHeader(changed { $0[3] = 34 }) }
    }

    @Test func skipsOptions() throws {
        let header = try parseHeader(withOptions([1, 148, 4, 0, 0, 1, 1, 1]))
        #expect(header.headerLength == 28)
        #expect(try parseUDP(withOptions([148, 4, 0, 0])).payload.count == 5)
        // What follows the end of the list is padding, whatever it looks like.
        #expect(try parseHeader(withOptions([0, 131, 0, 0])).headerLength == 24)
        #expect(try parseHeader(withOptions([UInt8](repeating: 1, count: 40))).headerLength == 60)
    }

    @Test(arguments: [[1, 1, 1, 7], [7, 0, 1, 1], [7, 1, 1, 1], [1, 7, 4, 1], [7, 255, 1, 1]] as [[UInt8]])
    func refusesMalformedOptions(options: [UInt8]) {
        #expect(throws: PacketFault.options) { try parseHeader(withOptions(options)) }
    }

    @Test(arguments: [131, 137] as [UInt8])
    func refusesSourceRoutes(type: UInt8) {
        #expect(throws: PacketFault.sourceRoute) { try parseHeader(withOptions([1, type, 3, 4])) }
        #expect(throws: PacketFault.sourceRoute) { try parseHeader(withOptions([type, 7, 4, 10, 0, 0, 1, 0])) }
    }

    @Test func readsFragments() throws {
        let first = try parseHeader(changed { $0.replaceSubrange(4..<8, with: [0xab, 0xcd, 0x20, 0x00]) })
        let last = try parseHeader(changed { $0.replaceSubrange(4..<8, with: [0xab, 0xcd, 0x1f, 0xff]) })
        #expect(first.fragment?.identification == 0xabcd)
        #expect(first.fragment?.offset == 0)
        #expect(first.fragment?.isLast == false)
        #expect(last.fragment?.offset == 65_528)
        #expect(last.fragment?.isLast == true)
    }
}

@Suite struct IPv6HeaderTests {
    private let udp = SamplePacket.udp6

    @Test func skipsExtensionHeaders() throws {
        // Hop-by-hop options (router alert, padding), destination options of 16 bytes, a routing header at its end.
        let extensions = hex("3c00050200000100" + "2b01010c000000000000000000000000" + "1100020000000000")
        let packet = inserting(extensions, startingWith: .hopByHopOptions, into: udp)
        let header = try parseHeader(packet)
        #expect(header.upperLayerProtocol == .udp)
        #expect(header.headerLength == 72)
        #expect(header.protocolOffset == 64)
        #expect(try parseUDP(packet).payload.count == 5)
    }

    @Test func readsFragments() throws {
        let packet = inserting(hex("11000009cafebabe"), startingWith: .fragment, into: udp)
        let header = try parseHeader(packet)
        #expect(header.upperLayerProtocol == .udp)
        #expect(header.headerLength == 48)
        #expect(header.fragment?.identification == 0xcafe_babe)
        #expect(header.fragment?.offset == 8)
        #expect(header.fragment?.isLast == false)
        #expect(header.fragment?.nextHeaderOffset == 6)
    }

    @Test func doesNotLookForHeadersInsideOfFragments() throws {
        let packet = inserting(hex("3c000008cafebabe"), startingWith: .fragment, into: udp)
        let header = try parseHeader(packet)
        #expect(header.upperLayerProtocol == .destinationOptions)
        #expect(header.headerLength == 48)
    }

    @Test func takesSecurityHeadersAndNoNextHeaderForUpperLayers() throws {
        for number: UInt8 in [50, 51, 59] {
            var packet = udp
            packet[6] = number
            #expect(try parseHeader(packet).upperLayerProtocol.rawValue == number)
            #expect(try parseHeader(packet).headerLength == 40)
        }
    }

    @Test func refusesHopByHopOptionsThatAreNotFirst() {
        let packet = inserting(
            hex("0000010400000000" + "1100010400000000"), startingWith: .destinationOptions, into: udp)
        #expect(throws: PacketFault.extensionHeaders) { try parseHeader(packet) }
    }

    @Test func takesEightExtensionHeadersButNotNine() throws {
        let more = hex("3c00010400000000")
        let last = hex("1100010400000000")
        let eight = (0..<7).flatMap { _ in more } + last
        #expect(try parseHeader(inserting(eight, startingWith: .destinationOptions, into: udp)).headerLength == 104)
        let nine = inserting(more + eight, startingWith: .destinationOptions, into: udp)
        #expect(throws: PacketFault.extensionHeaders) { try parseHeader(nine) }
    }

    @Test(arguments: ["1102000000000000", "1102000100000000", "1100030100000000"])
    func refusesRoutesStillToTravelAndType0(header: String) {
        let padding = [UInt8](repeating: 0, count: header.hasPrefix("1102") ? 16 : 0)
        let packet = inserting(hex(header) + padding, startingWith: .routing, into: udp)
        #expect(throws: PacketFault.sourceRoute) { try parseHeader(packet) }
    }

    @Test func refusesOptionsThatMustNotBeSkipped() throws {
        #expect(
            try parseHeader(inserting(hex("11001e0400000000"), startingWith: .destinationOptions, into: udp))
                .headerLength == 48)
        for type in ["5e", "9e", "c2"] {
            let packet = inserting(hex("1100\(type)0400000000"), startingWith: .destinationOptions, into: udp)
            #expect(throws: PacketFault.options) { try parseHeader(packet) }
        }
    }

    @Test func refusesOptionsThatOverrun() {
        for options in ["010500000000", "000000000001"] {
            let packet = inserting(hex("1100" + options), startingWith: .destinationOptions, into: udp)
            #expect(throws: PacketFault.options) { try parseHeader(packet) }
        }
        let long = inserting(hex("1103010400000000"), startingWith: .destinationOptions, into: udp)
        #expect(throws: PacketFault.headerLength) { try parseHeader(long) }
    }

    @Test func refusesJumbograms() {
        var packet = inserting(hex("1100c20400010000"), startingWith: .hopByHopOptions, into: udp)
        #expect(throws: PacketFault.options) { try parseHeader(packet) }
        packet.replaceSubrange(4..<6, with: [0, 0])
        #expect(throws: PacketFault.jumbogram) { try parseHeader(packet) }
    }

    @Test func acceptsAnEmptyPayload() throws {
        var packet = Array(udp[..<40])
        packet.replaceSubrange(4..<7, with: [0, 0, 59])
        #expect(try parseHeader(packet).payload.isEmpty)
    }
}
