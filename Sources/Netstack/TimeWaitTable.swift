// Connections in TIME-WAIT: closed in both directions, remembered so that late segments find them.

import CLwIP
import DequeModule
import NIOCore
import NetstackCore

/// RFC 9293 section 3.6.1: a connection that closed first waits for twice the longest life of a segment.
struct TimeWaitTable {
    private static let duration = TimeAmount.minutes(2)

    // Two, for with a pair of pointer and time as the value, debug builds of Swift 6.3 have been seen to read a time that was
    // none for what had been removed.
    private var pcbs: [TCPControlBlock.ID: UnsafeMutablePointer<tcp_pcb>] = [:]
    private var expiries: [TCPControlBlock.ID: NIODeadline] = [:]
    /// In the order of their expiry. Some have been removed before it.
    private var order: Deque<(id: TCPControlBlock.ID, expiry: NIODeadline)> = []

    var ids: [TCPControlBlock.ID] { Array(pcbs.keys) }
    var nextExpiry: NIODeadline? { order.first?.expiry }

    subscript(id: TCPControlBlock.ID) -> UnsafeMutablePointer<tcp_pcb>? { pcbs[id] }

    mutating func insert(_ pcb: UnsafeMutablePointer<tcp_pcb>, _ id: TCPControlBlock.ID, now: NIODeadline) {
        let expiry = now + Self.duration
        pcbs[id] = pcb
        expiries[id] = expiry
        order.append((id, expiry))
    }

    mutating func remove(_ id: TCPControlBlock.ID) {
        pcbs[id] = nil
        expiries[id] = nil
    }

    /// The oldest, if its time is over or there are more than `limit`. It is to be removed.
    mutating func first(expiredBy now: NIODeadline, limit: Int) -> TCPControlBlock.ID? {
        while let first = order.first {
            let isPresent = expiries[first.id] == first.expiry
            guard !isPresent || first.expiry <= now || pcbs.count > limit else { return nil }
            order.removeFirst()
            if isPresent { return first.id }
        }
        return nil
    }
}
