// The checksum against RFC 1071's example and a plain implementation.

import Netstack
import Testing

@Suite struct InternetChecksumTests {
    private func checksum(_ pieces: ArraySlice<UInt8>...) -> UInt16 {
        var checksum = InternetChecksum()
        for piece in pieces { piece.withUnsafeBytes { checksum.add($0.bytes) } }
        return checksum.value
    }

    @Test func agreesWithTheExampleOfRFC1071() {
        #expect(checksum([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]) == ~0xddf2)
    }

    @Test func isAllOnesForNothingAndZeroForAllOnes() {
        #expect(checksum([]) == 0xffff)
        #expect(checksum([0xff, 0xff, 0xff, 0xff]) == 0)
    }

    @Test func agreesWithAPlainImplementationAtAllLengthsAndAlignments() {
        var random = SplitMix64(seed: 1)
        let bytes = random.bytes(2000)
        for length in 0...200 {
            for start in 0...8 {
                let slice = bytes[start..<start + length]
                #expect(checksum(slice) == naiveChecksum(slice))
            }
        }
        let ones = [UInt8](repeating: 0xff, count: 65_535)
        for length in [1499, 1500, 65_534, 65_535] {
            #expect(checksum(ones[..<length]) == naiveChecksum(ones[..<length]))
        }
    }

    @Test func doesNotDependOnHowTheBytesAreCut() {
        var random = SplitMix64(seed: 2)
        for _ in 0..<2000 {
            let bytes = random.bytes(.random(in: 0...300, using: &random))[...]
            let cuts = [
                Int.random(in: 0...bytes.count, using: &random), Int.random(in: 0...bytes.count, using: &random),
            ].sorted()
            let cut = checksum(bytes[..<cuts[0]], bytes[cuts[0]..<cuts[1]], bytes[cuts[1]...])
            #expect(cut == naiveChecksum(bytes))
        }
    }

    @Test func addsFieldsAlignedWhereverTheBytesEnd() {
        let odd: [UInt8] = [1, 2, 3]
        var checksum = InternetChecksum()
        checksum.add(odd.span.bytes)
        checksum.add(UInt16(0x0405))
        #expect(checksum.value == naiveChecksum([1, 2, 3, 0, 4, 5]))
    }

    @Test(arguments: [SamplePacket.syn4, SamplePacket.syn6, SamplePacket.udp4, SamplePacket.udp6])
    func findsTheChecksumsOfWholePacketsRight(packet: [UInt8]) throws {
        let header = try parseHeader(packet)
        let payload = packet.span.bytes.extracting(header.payload)
        let isValid = InternetChecksum.isValid(payload, protocol: header.upperLayerProtocol, in: header)
        #expect(isValid)
        var damaged = packet
        damaged[packet.count - 1] ^= 1
        let damagedPayload = damaged.span.bytes.extracting(header.payload)
        let isDamagedValid = InternetChecksum.isValid(damagedPayload, protocol: header.upperLayerProtocol, in: header)
        #expect(!isDamagedValid)
    }
}
