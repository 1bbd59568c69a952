// ICMP and ICMPv6: echoes, errors and what they quote.

import NIOCore
import Netstack
import Testing

@Suite struct ICMPMessageTests {
    private static let versions = [SamplePacket.v4, SamplePacket.v6]
    private let echo = ICMPEcho(identifier: 0x1234, sequenceNumber: 1, payload: ByteBuffer(string: "abcdefg"))

    private func written(_ message: ICMPMessage, _ source: IPAddress, _ destination: IPAddress) throws -> [UInt8] {
        var buffer = ByteBuffer(string: "before")
        try message.write(from: source, to: destination, into: &buffer)
        return Array(buffer.readableBytesView.dropFirst(6))
    }

    @Test func readsAndWritesEchoRequests() throws {
        let samples = [SamplePacket.echo4, SamplePacket.echo6]
        for ((source, destination), packet) in zip(Self.versions, samples) {
            #expect(try parseICMP(packet) == .echoRequest(echo))
            #expect(try written(.echoRequest(echo), source, destination) == packet)
        }
    }

    @Test func readsAndWritesPortUnreachable() throws {
        let samples = [
            (SamplePacket.v4, SamplePacket.udp4, SamplePacket.portUnreachable4),
            (SamplePacket.v6, SamplePacket.udp6, SamplePacket.portUnreachable6),
        ]
        for ((host, peer), quote, packet) in samples {
            let message = ICMPMessage.error(.portUnreachable, quoting: ByteBuffer(bytes: quote))
            #expect(try parseICMP(packet) == message)
            #expect(try written(message, peer, host) == packet)
        }
    }

    @Test func readsAndWritesPacketTooBig() throws {
        let message = ICMPMessage.error(.packetTooBig(mtu: 1280), quoting: ByteBuffer(bytes: SamplePacket.udp6))
        #expect(try parseICMP(SamplePacket.packetTooBig6) == message)
        #expect(try written(message, SamplePacket.v6.peer, SamplePacket.v6.host) == SamplePacket.packetTooBig6)
    }

    @Test(
        arguments: [
            .networkUnreachable, .hostUnreachable, .protocolUnreachable, .portUnreachable, .administrativelyProhibited,
            .packetTooBig(mtu: 1400), .hopLimitExceeded, .reassemblyTimeExceeded,
        ] as [ICMPError])
    func readsWhatItWrites(error: ICMPError) throws {
        for (source, destination) in Self.versions {
            for message in [.echoReply(echo), .error(error, quoting: ByteBuffer(string: "a packet"))] as [ICMPMessage] {
                #expect(try parseICMP(written(message, source, destination)) == message)
            }
        }
    }

    @Test func readsOtherErrorsAndOtherMessages() throws {
        let (host, peer) = SamplePacket.v4
        let redirect = try written(.other(type: 5, code: 1), peer, host)
        #expect(try parseICMP(redirect) == .error(.other(type: 5, code: 1), quoting: ByteBuffer()))
        let timestamp = try written(.other(type: 13, code: 0), peer, host)
        #expect(try parseICMP(timestamp) == .other(type: 13, code: 0))
        let neighborSolicitation = try written(.other(type: 135, code: 0), SamplePacket.v6.peer, SamplePacket.v6.host)
        #expect(try parseICMP(neighborSolicitation) == .other(type: 135, code: 0))
    }

    @Test(arguments: [
        SamplePacket.echo4, SamplePacket.echo6, SamplePacket.portUnreachable4, SamplePacket.packetTooBig6,
    ])
    func refusesDamage(packet: [UInt8]) throws {
        for index in try parseHeader(packet).payload {
            var damaged = packet
            damaged[index] ^= 0x20
            #expect(throws: PacketFault.checksum) { try parseICMP(damaged) }
        }
    }

    @Test func quotesAsMuchAsTheVersionAllows() throws {
        let long = ByteBuffer(repeating: 0x45, count: 2000)
        for ((source, destination), limit) in zip(Self.versions, [576, 1280]) {
            let packet = try written(.error(.hostUnreachable, quoting: long), source, destination)
            #expect(packet.count == limit)
            #expect(try parseHeader(packet).totalLength == limit)
        }
    }

    @Test func pointsAtTheNextHeaderFieldThatIsNotRecognized() throws {
        let options = hex("8400010400000000")
        let packet = inserting(options, startingWith: .destinationOptions, into: SamplePacket.udp6)
        for (quote, pointer) in [(packet, 40), (SamplePacket.udp6, 6), (Array(packet[..<48]), 40)] {
            let message = ICMPMessage.error(.protocolUnreachable, quoting: ByteBuffer(bytes: quote))
            let answer = try written(message, SamplePacket.v6.peer, SamplePacket.v6.host)
            #expect(answer[40..<42] == [4, 1])
            #expect(answer[44..<48] == [0, 0, 0, UInt8(pointer)])
        }
    }

    @Test func writesNothingThatIsTooLong() {
        var buffer = ByteBuffer()
        let echo = ICMPEcho(identifier: 0, sequenceNumber: 0, payload: ByteBuffer(repeating: 0, count: 65_508))
        #expect(throws: NetstackError.datagramTooLong(65_516, limit: 65_515)) {
            try ICMPMessage.echoRequest(echo).write(
                from: SamplePacket.v4.host, to: SamplePacket.v4.peer, into: &buffer)
        }
        #expect(buffer.readableBytes == 0)
    }
}

@Suite struct ICMPAnswerTests {
    private func mayAnswer(_ packet: [UInt8]) throws -> Bool {
        let header = try parseHeader(packet)
        return ICMPMessage.mayAnswerWithError(header, payload: packet.span.bytes.extracting(header.payload))
    }

    @Test func answersSegmentsDatagramsAndEchoRequests() throws {
        for packet in SamplePacket.all.prefix(8) { #expect(try mayAnswer(packet)) }
    }

    @Test func doesNotAnswerErrors() throws {
        for packet in SamplePacket.all.suffix(3) { #expect(try !mayAnswer(packet)) }
    }

    @Test func answersFirstFragmentsOnly() throws {
        var packet = SamplePacket.udp4
        packet[6] = 0x20
        #expect(try mayAnswer(fixingHeaderChecksum(packet)))
        packet[7] = 1
        #expect(try !mayAnswer(fixingHeaderChecksum(packet)))
    }

    @Test(arguments: ["e0000001", "ffffffff", "00000000", "f0000001", "7f000001"])
    func doesNotAnswerWhatIsNotBetweenTwoHosts(address: String) throws {
        for offset in [12, 16] {
            var packet = SamplePacket.udp4
            packet.replaceSubrange(offset..<offset + 4, with: hex(address))
            #expect(try !mayAnswer(fixingHeaderChecksum(packet)))
        }
    }

    @Test(arguments: ["ff020000000000000000000000000001", "00000000000000000000000000000000"])
    func doesNotAnswerWhatIsNotBetweenTwoIPv6Hosts(address: String) throws {
        for offset in [8, 24] {
            var packet = SamplePacket.udp6
            packet.replaceSubrange(offset..<offset + 16, with: hex(address))
            #expect(try !mayAnswer(packet))
        }
    }
}

@Suite struct ICMPQuotationTests {
    @Test(arguments: [SamplePacket.udp4, SamplePacket.udp6])
    func readsPortsFromEightBytesOfADatagram(packet: [UInt8]) throws {
        let headerLength = try parseHeader(packet).headerLength
        let quotation = try parseQuotation(packet[..<(headerLength + 8)])
        #expect(quotation.header.source == (packet[0] >> 4 == 4 ? SamplePacket.v4.host : SamplePacket.v6.host))
        #expect(quotation.ports?.source == 5353)
        #expect(quotation.ports?.destination == 53)
        #expect(quotation.sequenceNumber == nil)
        for length in 0..<headerLength + 8 {
            #expect(throws: PacketFault.self) { try parseQuotation(packet[..<length]) }
        }
    }

    @Test(arguments: [SamplePacket.syn4, SamplePacket.syn6])
    func readsTheSequenceNumberOfASegment(packet: [UInt8]) throws {
        #expect(try parseQuotation(packet).sequenceNumber == 0x0102_0304)
        #expect(try parseQuotation(packet).ports?.destination == 80)
    }

    @Test func acceptsAHeaderThatARouterHasChanged() throws {
        var packet = SamplePacket.udp4
        packet[8] = 1
        #expect(try parseQuotation(packet).ports?.source == 5353)
    }

    @Test func findsNoPortsInEchoesAndLaterFragments() throws {
        #expect(try parseQuotation(SamplePacket.echo4).ports == nil)
        var packet = SamplePacket.udp4
        packet[7] = 1
        #expect(try parseQuotation(packet).ports == nil)
    }
}
