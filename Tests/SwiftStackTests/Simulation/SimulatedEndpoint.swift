// One side of a simulated connection: its machine, what its user does, and what was seen of it on the link.

import NIOCore
import SwiftStack

final class SimulatedEndpoint {
    /// What the user does: it reads all there is, and writes.
    struct Plan {
        /// Bytes to write in all, and between two pauses.
        var length = 0
        var portion = Int.max
        var pause = TimeAmount.zero
        var ending = Ending.halfClose

        static let bulk = Plan(length: .max)
    }

    enum Ending {
        /// A FIN after all that was written; reading goes on.
        case halfClose
        /// A FIN when the peer's was read, and all is written.
        case afterPeer
        /// Closed in both directions once all is written: what still comes is refused.
        case close
        /// A reset once all is written.
        case abort
        /// None: the connection stays.
        case never
    }

    let connection: Int
    /// 0 has opened actively, 1 passively.
    let side: Int
    let plan: Plan
    /// Nil before the SYN has arrived.
    var machine: TCPStateMachine?
    weak var peer: SimulatedEndpoint?

    /// What the user has done so far.
    private(set) var writtenLength = 0
    private(set) var readLength = 0
    private(set) var sawEnd = false
    private var hasEnded = false
    /// Nil unless the user pauses.
    private(set) var pausedUntil: NIODeadline?
    private var portionEnd: Int

    /// What was seen on the link: data sent, sent again, and of both what the link has dropped.
    var sentLength = 0
    var retransmittedLength = 0
    var droppedLength = 0
    var highestSent: TCPSequenceNumber?
    /// How often the timer sent again what the peer waits for, after a silence as long as the shortest time-out.
    var timeouts = 0
    var lastArrivalAt: NIODeadline
    /// Whether a write left a rest.
    private var isBlocked = false
    /// When the event for `nextDeadline` is due.
    var wakesAt = NIODeadline.distantFuture

    init(connection: Int, side: Int, plan: Plan, machine: consuming TCPStateMachine?, now: NIODeadline) {
        self.connection = connection
        self.side = side
        self.plan = plan
        self.machine = machine
        portionEnd = min(plan.portion, plan.length)
        lastArrivalAt = now
    }

    var isClosed: Bool { machine?.state == .closed }

    /// The user acts on what has happened. Returns what went wrong.
    func act(now: NIODeadline) -> String? {
        guard let events = machine?.takeEvents() else { return nil }
        var problem: String?
        if events.contains(.canRead) { problem = read(now: now) }
        if events.contains(.opened) || isBlocked || pausedUntil.map({ $0 <= now }) == true {
            write(now: now)
        }
        if !hasEnded { end(now: now) }
        return problem
    }

    private func read(now: NIODeadline) -> String? {
        while let bytes = machine?.read(upTo: .max, now: now) {
            guard SimulatedContent.matches(bytes, from: readLength, connection: connection, side: 1 - side) else {
                return "connection \(connection), side \(side): wrong bytes at \(readLength)"
            }
            readLength += bytes.readableBytes
        }
        if machine?.peerFinished == true { sawEnd = true }
        return nil
    }

    private func write(now: NIODeadline) {
        if let pause = pausedUntil, pause <= now {
            pausedUntil = nil
            portionEnd += min(plan.portion, plan.length - portionEnd)
        }
        while writtenLength < portionEnd {
            var bytes = SimulatedContent.bytes(
                from: writtenLength, atMost: portionEnd - writtenLength, connection: connection, side: side)
            let length = bytes.readableBytes
            machine?.write(&bytes, more: false, now: now)
            writtenLength += length - bytes.readableBytes
            isBlocked = bytes.readableBytes > 0
            if isBlocked { return }
        }
        if writtenLength < plan.length, pausedUntil == nil { pausedUntil = now + plan.pause }
    }

    private func end(now: NIODeadline) {
        guard writtenLength == plan.length, machine?.state != .synSent, machine?.state != .synReceived else { return }
        switch plan.ending {
        case .never: return
        case .afterPeer where !sawEnd: return
        case .halfClose, .afterPeer: machine?.closeWrite(now: now)
        case .close: machine?.close(now: now)
        case .abort: machine?.abort(now: now)
        }
        hasEnded = true
    }
}

/// Every byte as a function of the connection, the side that wrote it, and its position.
enum SimulatedContent {
    /// A prime, so that no power of two is a period.
    private static let period = 65_521

    /// The period twice, so that any part of it is a slice.
    private static let pattern = {
        var random = SeededGenerator(state: 1)
        let bytes = (0..<period).map { _ in UInt8.random(in: 0...255, using: &random) }
        return ByteBuffer(bytes: bytes + bytes)
    }()

    static func bytes(from position: Int, atMost limit: Int, connection: Int, side: Int) -> ByteBuffer {
        let start = (position + connection * 7919 + side * 104_729) % period
        return pattern.getSlice(at: start, length: min(limit, period)) ?? ByteBuffer()
    }

    static func matches(_ bytes: ByteBuffer, from position: Int, connection: Int, side: Int) -> Bool {
        var rest = bytes
        var position = position
        while rest.readableBytes > 0 {
            let expected = Self.bytes(from: position, atMost: rest.readableBytes, connection: connection, side: side)
            guard rest.readSlice(length: expected.readableBytes) == expected else { return false }
            position += expected.readableBytes
        }
        return true
    }
}
