// One direction of a memory link: batches in order, bounded in bytes, between any two of tasks and event loops.

import DequeModule
import NIOConcurrencyHelpers
import NIOCore

/// A queue with a producer and a consumer, each of which is either a task or a link driver on an event loop.
final class PacketQueue: Sendable {
    /// How a driver is told, on its loop, that the queue has changed.
    struct Bell: Sendable {
        let eventLoop: any EventLoop
        let ring: @Sendable () -> Void

        func callAsFunction() { eventLoop.execute(ring) }
    }

    /// How the queue ended.
    struct End: Sendable {
        /// What went wrong, unless it ended in good order.
        var error: (any Error)?
    }

    /// What is queued together.
    enum Item {
        case packets(PacketBatch)
        /// Only for a driver that has said that it takes them.
        case segments([OffloadedSegment])

        var hasSegments: Bool { if case .segments = self { true } else { false } }

        /// In bytes; none of segments.
        var packetByteCount: Int { if case .packets(let packets) = self { packets.byteCount } else { 0 } }
    }

    private struct State {
        var items: Deque<Item> = []
        var byteCount = 0
        var takesSegments = false
        var end: End?
        /// Rung when there is something to take; once, until something is taken.
        var consumer: Bell?
        var consumerRung = false
        /// Rung when a full queue has room again.
        var producer: Bell?
        var readers = Line()
        var writers = Line()
        var nextTicket = 0

        /// What a reader gets when nothing is queued: nil while something may come.
        func endOfReading<Value>() throws -> Value?? {
            guard let end else { return nil }
            if let error = end.error { throw error }
            return .some(nil)
        }
    }

    /// Tasks that wait for the queue to change, by ticket.
    private typealias Line = Deque<(ticket: Int, continuation: CheckedContinuation<Void, Never>)>

    /// With this many bytes queued the queue is full: tasks wait, and NICs hold TCP back.
    let limit: Int
    private let state = NIOLockedValueBox(State())

    init(limit: Int) { self.limit = limit }

    var byteCount: Int { state.withLockedValue { $0.byteCount } }
    var hasEnded: Bool { state.withLockedValue { $0.end != nil } }
    var takesSegments: Bool { state.withLockedValue { $0.takesSegments } }

    // MARK: Drivers

    func attachConsumer(_ bell: Bell?, takesSegments: Bool = false) {
        let pending = state.withLockedValue {
            $0.consumer = bell
            $0.takesSegments = takesSegments
            $0.consumerRung = !$0.items.isEmpty || $0.end != nil
            return $0.consumerRung
        }
        if pending { bell?() }
    }

    func attachProducer(_ bell: Bell?) {
        state.withLockedValue { $0.producer = bell }
    }

    /// Queues without waiting: a NIC watches `byteCount`. Nothing is queued after the end.
    func put(_ packets: PacketBatch) {
        change { state in
            guard state.end == nil else { return }
            state.items.append(.packets(packets))
            state.byteCount += packets.byteCount
        }
    }

    /// The same for segments.
    func put(_ segments: [OffloadedSegment]) {
        change { state in
            guard state.end == nil, state.takesSegments else { return }
            state.items.append(.segments(segments))
            for segment in segments { state.byteCount += segment.byteCount }
        }
    }

    /// Everything queued, and the end if nothing will follow.
    func takeAll() -> (items: Deque<Item>, end: End?) {
        change { state in
            let items = state.items
            state.items = []
            state.byteCount = 0
            state.consumerRung = false
            return (items, state.end)
        }
    }

    /// Nothing more is queued; what is there can still be taken.
    func end(_ error: (any Error)? = nil) { change { $0.end = $0.end ?? End(error: error) } }

    // MARK: Tasks

    /// Queues as soon as the queue is not full.
    func write(_ packets: PacketBatch) async throws {
        try await attempt(\.writers) { (state) -> Void? in
            if let end = state.end { throw NetstackError.linkDown(reason: end.error.map { "\($0)" }) }
            guard state.byteCount < self.limit else { return nil }
            state.items.append(.packets(packets))
            state.byteCount += packets.byteCount
            return ()
        }
    }

    /// The next packet, or `nil` after the end.
    func readOne() async throws -> ByteBuffer? {
        try await attempt(\.readers) { state in
            // Segments were for a driver that has gone.
            while let item = state.items.popFirst() {
                guard case .packets(var packets) = item, let packet = packets.popFirst() else { continue }
                state.byteCount -= packet.readableBytes
                if !packets.isEmpty { state.items.prepend(.packets(packets)) }
                return packet
            }
            return try state.endOfReading()
        }
    }

    /// The next batch, or `nil` after the end.
    func read() async throws -> PacketBatch? {
        try await attempt(\.readers) { state in
            while let item = state.items.popFirst() {
                guard case .packets(let packets) = item else { continue }
                state.byteCount -= packets.byteCount
                return packets
            }
            return try state.endOfReading()
        }
    }

    /// Waits in `line` until `body` returns a value.
    private func attempt<Result>(
        _ line: any WritableKeyPath<State, Line> & Sendable, _ body: (inout State) throws -> Result?
    ) async throws -> Result {
        let ticket = state.withLockedValue {
            $0.nextTicket += 1
            return $0.nextTicket
        }
        while true {
            try Task.checkCancellation()
            if let result = try change(body) { return result }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    // What would ring has either happened by now and left a mark, or finds us in line.
                    let ready = state.withLockedValue { state in
                        let ready =
                            Task.isCancelled || state.end != nil
                            || (line == \.readers ? !state.items.isEmpty : state.byteCount < limit)
                        if !ready { state[keyPath: line].append((ticket, continuation)) }
                        return ready
                    }
                    if ready { continuation.resume() }
                }
            } onCancel: {
                let waiting = state.withLockedValue { state in
                    state[keyPath: line].firstIndex { $0.ticket == ticket }
                        .map { state[keyPath: line].remove(at: $0).continuation }
                }
                waiting?.resume()
            }
        }
    }

    /// Changes the state, then wakes whoever the change lets go on.
    private func change<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        let (result, bells, woken) = try state.withLockedValue { state in
            let wasFull = state.byteCount >= limit
            let hadEnded = state.end != nil
            let result = try body(&state)
            var bells: [Bell] = []
            var woken: [CheckedContinuation<Void, Never>] = []
            let hasNews = !state.items.isEmpty || state.end != nil
            if hasNews, let consumer = state.consumer, !state.consumerRung || (state.end != nil) != hadEnded {
                state.consumerRung = true
                bells.append(consumer)
            }
            if hasNews { woken += state.readers.removeAllContinuations() }
            if wasFull, state.byteCount < limit, let producer = state.producer { bells.append(producer) }
            if state.byteCount < limit || state.end != nil { woken += state.writers.removeAllContinuations() }
            return (result, bells, woken)
        }
        for bell in bells { bell() }
        for continuation in woken { continuation.resume() }
        return result
    }
}

extension Deque where Element == (ticket: Int, continuation: CheckedContinuation<Void, Never>) {
    fileprivate mutating func removeAllContinuations() -> [CheckedContinuation<Void, Never>] {
        if isEmpty { return [] }
        defer { removeAll() }
        return map(\.continuation)
    }
}
