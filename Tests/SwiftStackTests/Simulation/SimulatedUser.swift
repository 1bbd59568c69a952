// The user of one side of a connection between two stacks: what it does, and what it has seen.

import NIOCore
import NetstackCore

final class SimulatedUser: TCPControlBlockDelegate {
    let connection: Int
    /// 0 has dialled, 1 was dialled.
    let side: Int
    let plan: SimulatedEndpoint.Plan
    /// How long it waits between two reads, of little each; zero: it reads all there is.
    let readPause: TimeAmount
    private let loop: VirtualLoop

    /// Nil before it is open, and after its user is done with it.
    private var block: TCPControlBlock?
    private(set) var wasOpened = false
    private(set) var isOver = false
    private(set) var failure: NetstackError?
    /// Whether it has ended what would have stayed.
    private(set) var gaveUp = false
    private(set) var writtenLength = 0
    private(set) var readLength = 0
    private(set) var sawEnd = false
    private(set) var hasWrongBytes = false
    private var hasEnded = false
    private var portionEnd: Int
    private var writePausedUntil: NIODeadline?
    private var readPausedUntil: NIODeadline?
    private var isActing = false
    private var hasNews = false

    init(
        connection: Int, side: Int, plan: SimulatedEndpoint.Plan, readPause: TimeAmount, on loop: VirtualLoop
    ) {
        self.connection = connection
        self.side = side
        self.plan = plan
        self.readPause = readPause
        self.loop = loop
        portionEnd = min(plan.portion, plan.length)
    }

    /// Whether it ends with a reset, or with one for what still comes.
    var breaksOff: Bool { gaveUp || plan.ending == .abort || plan.ending == .close }

    func opened(_ block: TCPControlBlock) {
        wasOpened = true
        self.block = block
        block.delegate = self
        act()
    }

    func notOpened(_ error: NetstackError) {
        failure = error
        isOver = true
    }

    func giveUp() {
        gaveUp = true
        block?.reset()
    }

    // MARK: Its connection's events

    func controlBlockCanRead(_ block: TCPControlBlock) { act() }

    func controlBlockCanWrite(_ block: TCPControlBlock) { act() }

    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {
        // What came before the end is still there.
        act()
        failure = failure ?? error
        isOver = true
        self.block = nil
    }

    private func act() {
        hasNews = true
        // What it does may bring news.
        guard !isActing else { return }
        isActing = true
        while hasNews, let block {
            hasNews = false
            read(block)
            if block.failure == nil { write(block) }
            if block.failure == nil { end(block) }
        }
        isActing = false
        guard sawEnd, hasEnded else { return }
        isOver = true
        block = nil
    }

    /// Acts again later.
    private func pause(for time: TimeAmount) -> NIODeadline {
        loop.schedule(at: loop.now + time) { [weak self] in self?.act() }
        return loop.now + time
    }

    private func read(_ block: TCPControlBlock) {
        let isSlow = readPause > .zero
        if isSlow, let time = readPausedUntil, time > loop.now { return }
        while let bytes = block.read(upTo: isSlow ? 16 << 10 : .max) {
            if !SimulatedContent.matches(bytes, from: readLength, connection: connection, side: 1 - side) {
                hasWrongBytes = true
            }
            readLength += bytes.readableBytes
            if isSlow {
                readPausedUntil = pause(for: readPause)
                return
            }
        }
        if block.isFinished { sawEnd = true }
    }

    private func write(_ block: TCPControlBlock) {
        if let time = writePausedUntil, time <= loop.now {
            writePausedUntil = nil
            portionEnd += min(plan.portion, plan.length - portionEnd)
        }
        while writtenLength < portionEnd {
            var bytes = SimulatedContent.bytes(
                from: writtenLength, atMost: portionEnd - writtenLength, connection: connection, side: side)
            let length = bytes.readableBytes
            try? block.write(&bytes)
            writtenLength += length - bytes.readableBytes
            if bytes.readableBytes > 0 { return }
        }
        if writtenLength < plan.length, writePausedUntil == nil { writePausedUntil = pause(for: plan.pause) }
    }

    private func end(_ block: TCPControlBlock) {
        guard !hasEnded, writtenLength == plan.length else { return }
        switch plan.ending {
        case .never: return
        case .afterPeer where !sawEnd: return
        case .halfClose, .afterPeer: block.closeWrite()
        case .close: block.close()
        case .abort: block.reset()
        }
        hasEnded = true
    }
}
