// No bytes, however malformed, may do worse than throw.

import NIOCore
import Netstack
import Testing

@Suite struct HostileBytesTests {
    /// Everything that reads a packet. Returns whether the IP header was acceptable.
    @discardableResult
    private func parseAll(_ packet: [UInt8], _ reassembler: inout Reassembler) -> Bool {
        let bytes = packet.span.bytes
        _ = IPPacketLength(ofPacketStartingWith: bytes)
        _ = try? TCPHeader(parsing: bytes)
        _ = try? ICMPQuotation(parsing: bytes)
        guard let header = try? IPHeader(parsing: bytes) else { return false }
        let payload = bytes.extracting(header.payload)
        _ = try? TCPHeader(parsing: payload)
        _ = try? UDPHeader(parsing: payload, in: header)
        _ = ICMPMessage.mayAnswerWithError(header, payload: payload)
        if case .error(_, let quote)? = try? ICMPMessage(parsing: payload, in: header) {
            _ = try? ICMPQuotation(parsing: quote.readableBytesSpan)
        }
        _ = reassembler.add(header, packet: bytes, now: .uptimeNanoseconds(0))
        return true
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix64(seed: 3)
        var reassembler = Reassembler(limit: Bound(total: 1 << 18, perSource: 1 << 16))
        for _ in 0..<100_000 {
            var packet = random.bytes(.random(in: 0...120, using: &random))
            if !packet.isEmpty { packet[0] = packet[0] & 0xf | (Bool.random(using: &random) ? 0x40 : 0x60) }
            parseAll(packet, &reassembler)
        }
        #expect(reassembler.byteCount <= reassembler.limit.total)
    }

    @Test func mutatedPacketsNeverTrap() {
        let extensions = hex("3c00050200000100" + "2b01010c000000000000000000000000" + "2c00020000000000")
        let samples =
            SamplePacket.all + [
                inserting(
                    extensions + hex("1100000900000001"), startingWith: .hopByHopOptions, into: SamplePacket.udp6),
                inserting(hex("11000001cafebabe"), startingWith: .fragment, into: SamplePacket.udp6),
                fixingHeaderChecksum(hex("4f00003d00012003401100000a0000010a000002") + SamplePacket.udp6[12...]),
            ]
        var random = SplitMix64(seed: 4)
        var reassembler = Reassembler(limit: Bound(total: 1 << 18, perSource: 1 << 16))
        var accepted = 0
        for _ in 0..<200_000 {
            var packet = samples[Int.random(in: samples.indices, using: &random)]
            for _ in 0...Int.random(in: 0...3, using: &random) {
                let index = Int.random(in: packet.indices, using: &random)
                packet[index] = UInt8.random(in: .min ... .max, using: &random)
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                packet.removeLast(Int.random(in: 0..<packet.count, using: &random))
            }
            // With right header checksums, so that more is looked at than those.
            if packet.count >= 20, packet[0] >> 4 == 4, Int(packet[0] & 0xf) * 4 <= packet.count {
                packet = fixingHeaderChecksum(packet)
            }
            if parseAll(packet, &reassembler) { accepted += 1 }
        }
        #expect(accepted > 50_000)
        #expect(reassembler.byteCount <= reassembler.limit.total)
    }
}
