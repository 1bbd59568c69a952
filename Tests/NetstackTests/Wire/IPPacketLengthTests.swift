// Where packets in a byte stream end.

import Netstack
import Testing

@Suite struct IPPacketLengthTests {
    private func length(_ prefix: some Collection<UInt8>) -> IPPacketLength {
        IPPacketLength(ofPacketStartingWith: Array(prefix).span.bytes)
    }

    @Test(arguments: SamplePacket.all)
    func needsFourBytesOfIPv4AndSixOfIPv6(packet: [UInt8]) {
        let needed = packet[0] >> 4 == 4 ? 4 : 6
        for count in 0..<needed { #expect(length(packet[..<count]) == .needMore) }
        for count in needed...packet.count { #expect(length(packet[..<count]) == .length(packet.count)) }
    }

    @Test func knowsTheLimits() {
        #expect(length(hex("4500ffff")) == .length(65_535))
        #expect(length(hex("4f00003c")) == .length(60))
        #expect(length(hex("60000000ffff")) == .length(65_575))
        #expect(length(hex("600000000000")) == .length(40))
    }

    @Test(arguments: ["00", "54", "70", "ff", "44", "40", "45000013", "4f00003b"])
    func refusesWhatCannotBeAPacket(prefix: String) {
        guard case .impossible(let fault) = length(hex(prefix)) else {
            Issue.record("\(prefix) passes for a packet")
            return
        }
        #expect(fault.hasPrefix("a"))
    }
}
