// What only a stack asks of a state machine.

import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// Bytes that have been written and not been sent.
    var unsentLength: Int { sendBuffer.count - min(sendNext - sendUnacknowledged, sendBuffer.count) }

    /// Bounds how far each of the buffers grows: by `growth`, what the stack has left for that, and by what the round trip can
    /// make use of, or is `worthwhile` whatever that.
    mutating func limitBuffers(to maximum: Int, growth: Int, worthwhile: Int) {
        let roundTrip = lossDetection.minimumRoundTrip.nanoseconds
        // At a byte a nanosecond. One that is not known yet may be any.
        let useful = min(roundTrip > 0 ? max(Int(roundTrip), worthwhile) : maximum, maximum)
        maximumReceiveWindow = min(receiveBuffer.limit + growth, useful)
        worthwhileWindow = worthwhile
        let sent = max(sendBuffer.count, configuration.initialSendBuffer)
        maximumSendBuffer = min(sent + growth, useful)
    }

    /// Bytes by which the buffers have grown beyond what they begin with. What is unread may be more than would be offered now.
    var growth: Int {
        max(receiveBuffer.limit, receiveBuffer.count) - configuration.initialReceiveWindow
            + max(sendBuffer.count - configuration.initialSendBuffer, 0)
    }

    /// Gives back memory of queues that are empty: among very many connections most are idle.
    mutating func shrink() {
        sendBuffer.shrink()
        retransmissions.shrink()
        receiveBuffer.shrink()
    }

    /// The connection in TIME-WAIT without what is unread, which stays here and can still be read.
    mutating func splitTimeWait(now: NIODeadline) -> TCPStateMachine {
        var rest = TCPStateMachine(ended: shared, now: now)
        rest.conditions = conditions
        swap(&rest, &self)
        swap(&rest.receiveBuffer, &receiveBuffer)
        return rest
    }

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
