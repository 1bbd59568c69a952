// Sequence numbers wrap (RFC 9293 section 3.4).

import SwiftStack
import Testing

struct SequenceNumberTests {
    @Test(arguments: [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff] as [UInt32])
    func whatIsAheadIsGreater(_ raw: UInt32) {
        let number = TCPSequenceNumber(raw)
        for distance in [1, 2, 1000, 0x7fff_ffff] {
            #expect(number < number + distance)
            #expect(number + distance > number)
            #expect(number <= number + distance)
            #expect(number + distance >= number)
            #expect(!(number + distance < number))
            #expect((number + distance) - number == distance)
            #expect(number - (number + distance) == -distance)
        }
    }

    @Test func equalsAreNeitherBeforeNorBehind() {
        let number = TCPSequenceNumber(7)
        #expect(
            !(number < number) && !(number > number) && number <= number && number >= number && number - number == 0)
    }

    @Test func additionWraps() {
        #expect(TCPSequenceNumber(.max) + 1 == TCPSequenceNumber(0))
        #expect(TCPSequenceNumber(0) + -1 == TCPSequenceNumber(.max))
        var number = TCPSequenceNumber(.max - 1)
        number += 5
        #expect(number.rawValue == 3)
    }

    /// Half of all numbers away there is no before and behind; there must be no trap either.
    @Test func theFarthestNumberIsOnOneSide() {
        #expect(TCPSequenceNumber(0x8000_0000) - TCPSequenceNumber(0) == -0x8000_0000)
        #expect(TCPSequenceNumber(0) + Int.max == TCPSequenceNumber(.max))
    }
}
