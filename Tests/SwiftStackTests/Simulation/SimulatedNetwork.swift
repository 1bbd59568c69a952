// Any number of connections over one link, in virtual time: events in the order of their time, and nothing else.

import NIOCore
import NetstackCore
import SwiftStack

final class SimulatedNetwork {
    private enum Event {
        case arrival(TCPSegment, SimulatedEndpoint)
        case timer(SimulatedEndpoint)
        case user(SimulatedEndpoint)
    }

    /// From the sides that open actively, and to them.
    var links: [SimulatedLink]
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    /// What must not happen, and did.
    private(set) var problems: [String] = []
    /// Pairs of which one side at least is not closed.
    private(set) var connections: [(active: SimulatedEndpoint, passive: SimulatedEndpoint)] = []
    private var opened = 0
    private var queue = EventQueue()
    /// The events of `queue`, by their places.
    private var events: [Event?] = []
    private var freePlaces: [Int] = []
    private var random: SeededGenerator

    init(_ conditions: SimulatedLink.Conditions, seed: UInt64) {
        links = [SimulatedLink(conditions, seed: seed &* 2), SimulatedLink(conditions, seed: seed &* 2 &+ 1)]
        random = SeededGenerator(state: seed)
    }

    /// Opens a connection now.
    @discardableResult
    func open(
        _ active: SimulatedEndpoint.Plan, _ passive: SimulatedEndpoint.Plan = .init(ending: .afterPeer),
        configuration: TCPConfiguration = TCPConfiguration()
    ) -> (active: SimulatedEndpoint, passive: SimulatedEndpoint) {
        let machine = TCPStateMachine(
            connecting: .init(configuration), initialSequenceNumber: makeInitialSequenceNumber(),
            timestampOffset: .random(in: 0...(.max), using: &random), now: now)
        let pair = (
            active: SimulatedEndpoint(connection: opened, side: 0, plan: active, machine: machine, now: now),
            passive: SimulatedEndpoint(connection: opened, side: 1, plan: passive, machine: nil, now: now)
        )
        opened += 1
        pair.active.peer = pair.passive
        pair.passive.peer = pair.active
        connections.append(pair)
        proceed(pair.active, isTimer: false)
        return pair
    }

    private func makeInitialSequenceNumber() -> TCPSequenceNumber {
        TCPSequenceNumber(.random(in: 0...(.max), using: &random))
    }

    /// Runs all that is due up to `deadline`, and lets go of connections that are over.
    func run(until deadline: NIODeadline) {
        while let next = queue.first, next.time <= deadline {
            queue.removeFirst()
            guard let event = take(next.place) else { continue }
            now = max(now, next.time)
            switch event {
            case .arrival(let segment, let endpoint): receive(segment, at: endpoint)
            case .user(let endpoint): proceed(endpoint, isTimer: false)
            case .timer(let endpoint): wake(endpoint, dueAt: next.time)
            }
        }
        now = max(now, deadline)
        connections.removeAll { $0.active.isClosed && ($0.passive.isClosed || $0.passive.machine == nil) }
    }

    /// Nothing flies, and nobody waits for anything.
    var isAtRest: Bool { queue.first == nil }

    // MARK: Events

    private func schedule(_ event: Event, at time: NIODeadline) {
        if let place = freePlaces.popLast() {
            events[place] = event
            queue.insert(time: time, place: place)
        } else {
            events.append(event)
            queue.insert(time: time, place: events.count - 1)
        }
    }

    private func take(_ place: Int) -> Event? {
        defer {
            events[place] = nil
            freePlaces.append(place)
        }
        return events[place]
    }

    private func wake(_ endpoint: SimulatedEndpoint, dueAt time: NIODeadline) {
        guard endpoint.wakesAt == time else { return }
        endpoint.wakesAt = .distantFuture
        if let deadline = endpoint.machine?.nextDeadline, deadline <= now {
            endpoint.machine?.timersDue(now: now)
            proceed(endpoint, isTimer: true)
            if let after = endpoint.machine?.nextDeadline, after <= now {
                problems.append("connection \(endpoint.connection), side \(endpoint.side): a timer stands still")
                endpoint.machine = nil
            }
        } else {
            setTimer(of: endpoint)
        }
    }

    private func setTimer(of endpoint: SimulatedEndpoint) {
        guard let deadline = endpoint.machine?.nextDeadline, deadline < endpoint.wakesAt else { return }
        endpoint.wakesAt = deadline
        schedule(.timer(endpoint), at: deadline)
    }

    /// Something has happened to it: its user acts, and what is to be sent leaves.
    private func proceed(_ endpoint: SimulatedEndpoint, isTimer: Bool) {
        let pause = endpoint.pausedUntil
        if let problem = endpoint.act(now: now) { problems.append(problem) }
        transmit(endpoint, isTimer: isTimer)
        setTimer(of: endpoint)
        if let next = endpoint.pausedUntil, next != pause, !endpoint.isClosed { schedule(.user(endpoint), at: next) }
    }

    // MARK: Segments

    private func receive(_ segment: TCPSegment, at endpoint: SimulatedEndpoint) {
        var segment = segment
        if links[endpoint.side == 0 ? 1 : 0].conditions.gathering > .zero { join(&segment, at: endpoint) }
        switch endpoint.machine?.state {
        case nil:
            guard segment.flags.contains(.syn), let configuration = endpoint.peer?.machine?.configuration else {
                return
            }
            endpoint.machine = TCPStateMachine(
                accepting: segment, configuration: .init(configuration),
                initialSequenceNumber: makeInitialSequenceNumber(),
                timestampOffset: .random(in: 0...(.max), using: &random), now: now)
        case .closed: return refuse(segment, from: endpoint)
        default: endpoint.machine?.receive(segment, now: now)
        }
        endpoint.lastArrivalAt = now
        proceed(endpoint, isTimer: false)
    }

    /// As receive offload does: what arrives at the same time and follows.
    private func join(_ segment: inout TCPSegment, at endpoint: SimulatedEndpoint) {
        while let next = queue.first, next.time <= now, case .arrival(let other, let target)? = events[next.place],
            target === endpoint, other.sequenceNumber == segment.sequenceNumber + segment.payload.readableBytes,
            segment.payload.readableBytes > 0, other.payload.readableBytes > 0, segment.flags == .ack,
            other.flags.subtracting([.psh, .fin]) == .ack, other.options == segment.options,
            other.acknowledgmentNumber == segment.acknowledgmentNumber,
            segment.payload.readableBytes + other.payload.readableBytes <= 64 << 10
        {
            queue.removeFirst()
            _ = take(next.place)
            segment.payload.writeImmutableBuffer(other.payload)
            segment.flags = other.flags
            segment.window = other.window
            segment.count += 1
        }
    }

    /// What a stack does without a connection (RFC 9293 section 3.10.7.1).
    private func refuse(_ segment: TCPSegment, from endpoint: SimulatedEndpoint) {
        guard !segment.flags.contains(.rst), let peer = endpoint.peer else { return }
        var reset = TCPSegment(sequenceNumber: segment.acknowledgmentNumber, flags: .rst)
        if !segment.flags.contains(.ack) {
            reset = TCPSegment(sequenceNumber: TCPSequenceNumber(0), flags: [.rst, .ack])
            reset.acknowledgmentNumber = segment.sequenceNumber + segment.length
        }
        guard let arrival = links[endpoint.side].send(length: Self.headerLength, at: now).first else { return }
        schedule(.arrival(reset, peer), at: arrival)
    }

    /// IPv4's and TCP's, without options.
    static let headerLength = 40

    private func transmit(_ endpoint: SimulatedEndpoint, isTimer: Bool) {
        guard let peer = endpoint.peer else { return }
        var isFirst = true
        endpoint.machine?.transmit(now: now) { outgoing, buffer in
            note(outgoing, of: endpoint, isFirstOfTimer: isTimer && isFirst)
            isFirst = false
            send(outgoing, buffer, from: endpoint, to: peer)
            return true
        }
    }

    private func note(_ outgoing: TCPOutgoingSegment, of endpoint: SimulatedEndpoint, isFirstOfTimer: Bool) {
        guard outgoing.payloadLength > 0 else { return }
        let end = outgoing.sequenceNumber + outgoing.payloadLength
        endpoint.sentLength += outgoing.payloadLength
        guard let highest = endpoint.highestSent, outgoing.sequenceNumber < highest else {
            endpoint.highestSent = end
            return
        }
        endpoint.retransmittedLength += outgoing.payloadLength
        if isFirstOfTimer, outgoing.payloadOffset == 0, now - endpoint.lastArrivalAt >= .milliseconds(200) {
            endpoint.timeouts += 1
        }
    }

    /// Cuts `outgoing` to pieces that the path takes, and puts them on the link.
    private func send(
        _ outgoing: TCPOutgoingSegment, _ buffer: borrowing TCPSendBuffer, from endpoint: SimulatedEndpoint,
        to peer: SimulatedEndpoint
    ) {
        let header = Self.headerLength + outgoing.options.encodedLength
        var offset = 0
        repeat {
            let length = min(outgoing.payloadLength - offset, outgoing.maximumSegmentSize)
            let arrivals = links[endpoint.side].send(length: header + length, at: now)
            if let first = arrivals.first {
                let piece = makePiece(outgoing, buffer, offset: offset, length: length)
                schedule(.arrival(piece, peer), at: first)
                if let duplicate = arrivals.duplicate { schedule(.arrival(piece, peer), at: duplicate) }
            } else {
                endpoint.droppedLength += length
            }
            offset += length
        } while offset < outgoing.payloadLength
    }

    private func makePiece(
        _ outgoing: TCPOutgoingSegment, _ buffer: borrowing TCPSendBuffer, offset: Int, length: Int
    ) -> TCPSegment {
        var flags = outgoing.flags
        if offset + length < outgoing.payloadLength { flags.subtract([.fin, .psh]) }
        if offset > 0 { flags.remove(.cwr) }
        var piece = TCPSegment(sequenceNumber: outgoing.sequenceNumber + offset, flags: flags)
        piece.acknowledgmentNumber = outgoing.acknowledgmentNumber
        piece.window = outgoing.window
        piece.options = outgoing.options
        guard length > 0 else { return piece }
        piece.payload = ByteBufferAllocator().buffer(capacity: length)
        piece.payload.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { bytes in
            if let base = bytes.baseAddress {
                buffer.copyBytes(from: outgoing.payloadOffset + offset, count: length, to: base)
            }
            return length
        }
        return piece
    }
}

/// A heap of times; of equal ones the first to come is the first to go.
struct EventQueue {
    struct Entry {
        var time: NIODeadline
        var order: UInt64
        var place: Int

        static func < (one: Entry, other: Entry) -> Bool {
            one.time < other.time || (one.time == other.time && one.order < other.order)
        }
    }

    private var entries: [Entry] = []
    private var inserted: UInt64 = 0

    var first: Entry? { entries.first }

    mutating func insert(time: NIODeadline, place: Int) {
        let entry = Entry(time: time, order: inserted, place: place)
        inserted += 1
        var index = entries.count
        entries.append(entry)
        while index > 0, entry < entries[(index - 1) / 2] {
            entries[index] = entries[(index - 1) / 2]
            index = (index - 1) / 2
        }
        entries[index] = entry
    }

    mutating func removeFirst() {
        guard let entry = entries.popLast(), !entries.isEmpty else { return }
        var index = 0
        while true {
            var child = 2 * index + 1
            guard child < entries.count else { break }
            if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
            guard entries[child] < entry else { break }
            entries[index] = entries[child]
            index = child
        }
        entries[index] = entry
    }
}
