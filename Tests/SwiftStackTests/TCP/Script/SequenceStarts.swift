// Where the numbers of a connection begin: every script is played with all of them, as they wrap in every place there is.

import SwiftStack

struct SequenceStarts: CustomStringConvertible {
    let description: String
    /// The initial sequence numbers of the machine and of its peer (RFC 9293 section 3.4.1).
    var machine: TCPSequenceNumber
    var peer: TCPSequenceNumber
    /// Where their clocks for timestamps begin (RFC 7323 section 5.4).
    var machineClock: UInt32
    var peerClock: UInt32

    private init(_ description: String, machine: UInt32, peer: UInt32, machineClock: UInt32, peerClock: UInt32) {
        self.description = description
        self.machine = TCPSequenceNumber(machine)
        self.peer = TCPSequenceNumber(peer)
        self.machineClock = machineClock
        self.peerClock = peerClock
    }

    static let ordinary = Self("ordinary", machine: 1000, peer: 500_000, machineClock: 7, peerClock: 70_000)
    static let all = [
        ordinary,
        Self("zero is passed", machine: .max - 700, peer: .max - 300, machineClock: .max - 100, peerClock: .max - 1050),
        Self("SYN is the last number", machine: .max, peer: .max, machineClock: .max, peerClock: .max),
        Self(
            "the sign changes", machine: 0x7fff_ffff - 1500, peer: 0x7fff_ffff - 700, machineClock: 0x7fff_ff00,
            peerClock: 0x7fff_ffff - 1100),
    ]
}
