// A long way in one process: a link that delivers each packet some time after it was sent.

import NIOConcurrencyHelpers
import NIOCore
import Netstack

/// One end of a pipe whose packets take time. It holds as much as is on its way, loses no more than it is told to, and never is
/// in a hurry: what a window allows to be sent is all that bounds it.
struct DelayLink: Link {
    private let inbound: DelayQueue
    private let outbound: DelayQueue

    /// Both ends of a new pipe.
    ///
    /// - Parameters:
    ///   - roundTrip: half of it for each direction.
    ///   - loss: packets of 10,000 that do not arrive, the same in each run.
    ///   - eventLoop: keeps the time.
    static func pipe(
        roundTrip: Duration, loss: Int = 0, on eventLoop: any EventLoop
    ) -> (DelayLink, DelayLink) {
        let there = DelayQueue(delay: TimeAmount(roundTrip / 2), loss: loss, eventLoop)
        let back = DelayQueue(delay: TimeAmount(roundTrip / 2), loss: loss, eventLoop)
        return (DelayLink(inbound: back, outbound: there), DelayLink(inbound: there, outbound: back))
    }

    var defaultMTU: Int { 65535 }
    func read() async throws -> ByteBuffer? { await inbound.take { $0.popFirst() } }
    func readBatch() async throws -> PacketBatch? { await inbound.take { $0.popAll() } }
    func write(_ packet: ByteBuffer) async throws { try outbound.put(PacketBatch(packet)) }
    func writeBatch(_ packets: PacketBatch) async throws { try outbound.put(packets) }

    func close() async {
        inbound.end()
        outbound.end()
    }
}

/// One direction: packets in order, each with the time at which it is there, and at most one reader.
private final class DelayQueue: Sendable {
    struct Packets {
        private var batches = CircularBuffer<(due: NIODeadline, packets: PacketBatch)>()

        var firstDue: NIODeadline? { batches.first?.due }

        mutating func append(_ packets: PacketBatch, due: NIODeadline) { batches.append((due, packets)) }

        /// The first packet.
        mutating func popFirst() -> ByteBuffer? {
            guard !batches.isEmpty else { return nil }
            let packet = batches[batches.startIndex].packets.popFirst()
            if batches[batches.startIndex].packets.isEmpty { batches.removeFirst() }
            return packet
        }

        /// The first packets, and all others that are there by now.
        mutating func popAll() -> PacketBatch? {
            guard var all = batches.popFirst()?.packets else { return nil }
            let now = NIODeadline.now()
            while let due = batches.first?.due, due <= now, let next = batches.popFirst()?.packets {
                all.append(contentsOf: next)
            }
            return all
        }
    }

    private struct State {
        var packets = Packets()
        var ended = false
        var reader: CheckedContinuation<Void, Never>?
        /// Whether the event loop is going to wake the reader.
        var isScheduled = false
        var random: UInt64 = 1

        /// What is left of a batch after a share of it has been lost.
        mutating func lose(_ loss: Int, of packets: PacketBatch) -> PacketBatch {
            var rest = PacketBatch()
            for packet in packets {
                // A linear congruential generator; its high bits are as random as this needs.
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                if random >> 33 % 10_000 >= loss { rest.append(packet) }
            }
            return rest
        }
    }

    private let delay: TimeAmount
    private let loss: Int
    private let eventLoop: any EventLoop
    private let state = NIOLockedValueBox(State())

    init(delay: TimeAmount, loss: Int, _ eventLoop: any EventLoop) {
        self.delay = delay
        self.loss = loss
        self.eventLoop = eventLoop
    }

    /// - Throws: `NetstackError.linkDown` after the end.
    func put(_ packets: PacketBatch) throws {
        guard !packets.isEmpty else { return }
        let taken = state.withLockedValue { state in
            guard !state.ended else { return false }
            let packets = loss > 0 ? state.lose(loss, of: packets) : packets
            if !packets.isEmpty { state.packets.append(packets, due: .now() + delay) }
            return true
        }
        guard taken else { throw NetstackError.linkDown(reason: nil) }
        scheduleWakeUp()
    }

    /// Takes by `take` as soon as the first packet is due; nil at the end.
    func take<Taken>(_ take: (inout Packets) -> Taken?) async -> Taken? {
        while true {
            let (taken, ended) = state.withLockedValue { state -> (Taken?, Bool) in
                guard let due = state.packets.firstDue, due <= .now() else { return (nil, state.ended) }
                return (take(&state.packets), false)
            }
            if taken != nil || ended { return taken }
            await withCheckedContinuation { continuation in
                let ended = state.withLockedValue { state in
                    if !state.ended { state.reader = continuation }
                    return state.ended
                }
                if ended { continuation.resume() } else { scheduleWakeUp() }
            }
        }
    }

    /// What has not been delivered is lost.
    func end() {
        state.withLockedValue { $0.ended = true }
        wakeReader()
    }

    /// Sees to it that a waiting reader is woken when the first packet is due.
    private func scheduleWakeUp() {
        let due = state.withLockedValue { state -> NIODeadline? in
            guard !state.isScheduled, state.reader != nil, let due = state.packets.firstDue else { return nil }
            state.isScheduled = true
            return due
        }
        if let due { eventLoop.scheduleTask(deadline: due) { self.wakeReader() } }
    }

    private func wakeReader() {
        let reader = state.withLockedValue { state in
            state.isScheduled = false
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }
}
