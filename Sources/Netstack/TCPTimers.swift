// Which connections lwIP's timers are run for, and when: those with something to wait for, and no others.

import CLwIP
import NIOCore
import NetstackCore

/// Connections whose timers run, and those that are looked at now and then for keep-alive.
struct TCPTimers {
    /// How long lwIP's clock takes for a tick. Retransmission counts in ticks; a shorter one makes it quicker.
    static let tick = TimeAmount.milliseconds(50)
    /// How many ticks lwIP believes to be one.
    static let scale: UInt32 = 10
    /// RFC 1122 section 4.2.3.6 wants two hours of silence before the first probe; a minute more does no harm.
    private static let sweepInterval = TimeAmount.seconds(60)
    /// Connections looked at before the event loop does something else: as many as take a tenth of a millisecond.
    private static let batchLimit = 64

    private var timed: [LwIPConnection] = []
    private var nextTick = NIODeadline.distantFuture
    /// What the tick under way has not come to.
    private var due: ArraySlice<LwIPConnection> = []
    private var kept: [LwIPConnection] = []
    private var nextSweep = NIODeadline.distantFuture
    /// How many of `kept` the sweep under way has not come to.
    private var unswept = 0

    /// lwIP's clock. It never shows 0, which means "no time".
    static func ticks(from start: NIODeadline, to now: NIODeadline) -> UInt32 {
        1 + UInt32(truncatingIfNeeded: (now - start).nanoseconds / tick.nanoseconds)
    }

    /// When something is due.
    var next: NIODeadline { isOverdue ? .distantPast : min(nextTick, nextSweep) }

    /// Whether more was due than has been taken.
    private var isOverdue: Bool { !due.isEmpty }

    /// Takes in a connection if it has something to wait for.
    mutating func add(_ connection: LwIPConnection, now: NIODeadline) {
        guard let pcb = connection.pcb else { return }
        if connection.keepAliveIndex == nil, connection.isKeptAlive {
            connection.keepAliveIndex = kept.count
            kept.append(connection)
            if kept.count == 1 { nextSweep = now + Self.sweepInterval }
        }
        guard !connection.isTimed, clwip_tcp_needs_fast_tick(pcb) != 0 || clwip_tcp_needs_slow_tick(pcb) != 0 else {
            return
        }
        connection.isTimed = true
        timed.append(connection)
        if nextTick == .distantFuture { nextTick = now + Self.tick }
    }

    mutating func remove(_ connection: LwIPConnection) {
        guard let index = connection.keepAliveIndex else { return }
        connection.keepAliveIndex = nil
        kept.swapAt(index, kept.count - 1)
        kept.removeLast()
        if index < kept.count { kept[index].keepAliveIndex = index }
        unswept = min(unswept, kept.count)
        if kept.isEmpty { nextSweep = .distantFuture }
    }

    /// The connections to run timers for now. Each is to be added again afterwards.
    mutating func takeDue(_ now: NIODeadline) -> [LwIPConnection] {
        if due.isEmpty, nextTick <= now {
            due = timed[...]
            timed = []
            nextTick = .distantFuture
        }
        var batch = Array(due.prefix(Self.batchLimit))
        due = due.dropFirst(batch.count)
        for connection in batch { connection.isTimed = false }
        if nextSweep <= now {
            if unswept == 0 { unswept = kept.count }
            let rest = max(0, unswept - Self.batchLimit)
            batch += kept[rest..<unswept].lazy.filter { !$0.isTimed }
            unswept = rest
            nextSweep = now + (rest > 0 ? Self.tick : Self.sweepInterval)
        }
        return batch
    }
}
