// What only a stack asks of a state machine.

import NetstackCore

extension TCPStateMachine {
    /// A writer is held back for the link's sake. It hears of room as if there had been none.
    mutating func holdWriter() { conditions.insert(.wantsRoom) }

    /// The peer is not told that the connection has ended.
    mutating func forgetReset() { pending.subtract([.reset, .strayReset]) }

    /// Whether a SYN may open a new connection in place of this one, which is in TIME-WAIT: none of the old one's can be
    /// taken for the new one's (RFC 9293 section 3.10.7.4; by timestamps, RFC 6191 section 2).
    func mayBeSucceeded(by syn: TCPSegment) -> Bool {
        if conditions.contains(.timestamps), let timestamps = syn.options.timestamps {
            let age = Int32(bitPattern: timestamps.value &- recentTimestamp)
            if age != 0 { return age > 0 }
        }
        return syn.sequenceNumber > receiveNext
    }
}
