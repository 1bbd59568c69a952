// Plays a script with one state machine, in virtual time.

import NIOCore
import NetstackCore
import SwiftStack

struct ScriptRunner: ~Copyable {
    private let starts: SequenceStarts
    private var configuration = ScriptConfiguration()
    private var machine: TCPStateMachine?
    private var isListening = false
    private var peer: ScriptPeer
    /// Virtual time, in nanoseconds.
    private var now: Int64 = 0
    /// What has been sent and not been met by the script yet.
    private var sent: [SentSegment] = []
    private var events: TCPStateMachine.Events = []
    private var written = 0
    private var wasRead = 0
    /// How many segments the link takes; nil: all.
    private var linkRoom: Int?
    private var measuredFlight = 0
    private var bulkReceiver = ScriptBulkReceiver()
    private var names: [String: UInt32] = [:]
    private var trace = ScriptTrace()

    init(starts: SequenceStarts) {
        self.starts = starts
        peer = ScriptPeer(starts: starts)
    }

    private typealias Fault = ScriptParser.Fault

    mutating func run(_ script: Script) throws(ScriptFailure) {
        for line in script.lines {
            do throws(Fault) {
                try perform(line)
            } catch {
                throw failure(line: line.number, text: line.text, reason: error.reason)
            }
        }
        if let surplus = sent.first {
            throw failure(line: script.lines.last?.number ?? 0, text: "the end", reason: "no line expects \(surplus)")
        }
    }

    private func failure(line: Int, text: String, reason: String) -> ScriptFailure {
        ScriptFailure(
            line: line, text: text, reason: "\(reason) (at \(ScriptTrace.seconds(now)), numbers: \(starts))",
            trace: trace.lines)
    }

    private mutating func perform(_ line: ScriptLine) throws(Fault) {
        switch line.action {
        case .expectSegment(let pattern): try expect(pattern, at: line.time)
        case .expectData(let start, let end, let count):
            try expectData(from: start, to: end, segments: count, at: line.time)
        case .configure(let words): try configuration.apply(words)
        case .skip:
            try wait(line.time)
            sent = []
        case .expect(.nothing(let time)):
            try wait(line.time)
            try wait(time)
            if let surplus = sent.first { throw Fault("sent \(surplus) at \(ScriptTrace.seconds(surplus.time))") }
        default:
            try wait(line.time)
            if let surplus = sent.first, surplus.time < now - configuration.tolerance {
                throw Fault("no line expects \(surplus) at \(ScriptTrace.seconds(surplus.time))")
            }
            try act(line)
        }
    }

    private mutating func act(_ line: ScriptLine) throws(Fault) {
        trace.note(.done(line.text, time: now))
        switch line.action {
        case .connect:
            machine = TCPStateMachine(
                connecting: .init(configuration.machine), initialSequenceNumber: starts.machine,
                timestampOffset: starts.machineClock, now: Self.deadline(now))
        case .accept: isListening = true
        case .inject(let pattern): try inject(pattern)
        case .write(let count, let more, let takes): try write(count, more: more, takes: takes)
        case .read(let limit, let gives): try read(limit, gives: gives)
        case .shutdown: machine?.closeWrite(now: Self.deadline(now))
        case .close: machine?.close(now: Self.deadline(now))
        case .keepsAlive(let keepsAlive): machine?.setKeepsAlive(keepsAlive, now: Self.deadline(now))
        case .abort: machine?.abort(now: Self.deadline(now))
        case .pathTakes(let size): machine?.pathTakes(maximumSegmentSize: size, now: Self.deadline(now))
        case .link(let room): linkRoom = room
        case .bulk(let duration, let roundTrip, let losses):
            try bulk(duration: duration, roundTrip: roundTrip, losses: losses)
        case .measureFlight: measuredFlight = peer.flight
        case .expect(let expectation): try check(expectation)
        case .configure, .expectSegment, .expectData, .skip: break
        }
        try flush()
    }
}

// MARK: - Time

extension ScriptRunner {
    /// Not 0, so that a machine that mistakes 0 for "never" is found out.
    private static func deadline(_ time: Int64) -> NIODeadline { .uptimeNanoseconds(UInt64(1_000_000_000_000 + time)) }

    private var nextDeadline: Int64? {
        // Mutating: to look at what can't be copied, in an optional, takes the right to change it.
        mutating get {
            guard let deadline = machine?.nextDeadline else { return nil }
            return max(now, Int64(clamping: deadline.uptimeNanoseconds) - 1_000_000_000_000)
        }
    }

    private mutating func wait(_ time: ScriptTime) throws(Fault) {
        switch time {
        case .now: break
        case .at(let time):
            guard time >= now - configuration.tolerance else { throw Fault("time runs backwards") }
            try advance(to: max(now, time))
        case .after(let time): try advance(to: now + time)
        // Until nothing is waited for, within a month.
        case .any: try advance(to: now + 30 * 86_400_000_000_000, staysAtLastTimer: true)
        case .between, .afterBetween: throw Fault("a range of times is for what is sent")
        }
    }

    /// Lets time pass from deadline to deadline.
    private mutating func advance(
        to end: Int64, untilSent: Bool = false, staysAtLastTimer: Bool = false
    ) throws(Fault) {
        var steps = 0
        while let next = nextDeadline, next <= end {
            steps = next == now ? steps + 1 : 0
            guard steps < 1000 else { throw Fault("the timers spin") }
            now = next
            machine?.timersDue(now: Self.deadline(now))
            try flush()
            if untilSent, !sent.isEmpty { return }
        }
        if !staysAtLastTimer { now = end }
    }

    /// Takes what the machine has to send and to say.
    private mutating func flush() throws(Fault) {
        var taken: [(segment: TCPOutgoingSegment, payload: ByteBuffer)] = []
        var room = linkRoom
        machine?.transmit(now: Self.deadline(now)) { segment, buffer in
            if segment.payloadLength > 0, let left = room {
                guard left > 0 else { return false }
                room = left - 1
            }
            var payload = ByteBuffer()
            payload.writeWithUnsafeMutableBytes(minimumWritableBytes: segment.payloadLength) { bytes in
                guard segment.payloadLength > 0, let base = bytes.baseAddress else { return 0 }
                buffer.copyBytes(from: segment.payloadOffset, count: segment.payloadLength, to: base)
                return segment.payloadLength
            }
            taken.append((segment, payload))
            return true
        }
        linkRoom = room
        events.formUnion(machine?.takeEvents() ?? [])
        for (segment, payload) in taken {
            let pieces = SentSegment.pieces(
                of: segment, whole: configuration.seesWholeSegments, time: now, starts: starts)
            for piece in pieces { trace.note(.sent(piece)) }
            if let fault = peer.fault(segment, payload: payload, configuration: configuration.machine) {
                throw Fault("the last segment sent is wrong: \(fault)")
            }
            sent += pieces
        }
    }
}

// MARK: - Peer and user

extension ScriptRunner {
    private mutating func inject(_ pattern: SegmentPattern) throws(Fault) {
        let segment = try peer.segment(pattern, time: now, names: names)
        if machine == nil, isListening {
            machine = TCPStateMachine(
                accepting: segment, configuration: .init(configuration.machine), initialSequenceNumber: starts.machine,
                timestampOffset: starts.machineClock, now: Self.deadline(now))
        } else {
            guard machine != nil else { throw Fault("there is no connection yet") }
            machine?.receive(segment, now: Self.deadline(now))
        }
    }

    private mutating func write(_ count: Int, more: Bool, takes: Int?) throws(Fault) {
        var bytes = ScriptContent.ofMachine.bytes(at: written, count: count)
        machine?.write(&bytes, more: more, now: Self.deadline(now))
        let taken = count - bytes.readableBytes
        written += taken
        guard taken == takes ?? count else { throw Fault("took \(taken)") }
    }

    private mutating func read(_ limit: Int, gives: Int?) throws(Fault) {
        var bytes = ByteBuffer()
        while bytes.readableBytes < limit,
            var some = machine?.read(upTo: limit - bytes.readableBytes, now: Self.deadline(now))
        {
            guard some.readableBytes > 0 else { throw Fault("read gave an empty buffer") }
            bytes.writeBuffer(&some)
        }
        guard bytes == ScriptContent.ofPeer.bytes(at: wasRead, count: bytes.readableBytes) else {
            throw Fault("read other bytes")
        }
        wasRead += bytes.readableBytes
        if let expected = gives ?? (limit == .max ? nil : limit), expected != bytes.readableBytes {
            throw Fault("read \(bytes.readableBytes)")
        }
    }

    /// The user writes all there is room for; the peer acknowledges every second segment, and the last of those that come together.
    private mutating func bulk(duration: Int64, roundTrip: Int64, losses: Int) throws(Fault) {
        let end = now + duration
        bulkReceiver.losses += losses
        sent = []
        while true {
            while let room = machine?.sendRoom, room > 0 {
                try write(min(room, 65536), more: false, takes: nil)
                try flush()
            }
            bulkReceiver.receive(sent, answersArriveAt: now + roundTrip)
            sent = []
            let next = min(bulkReceiver.nextAnswer ?? .max, nextDeadline ?? .max, end)
            guard next < end else { break }
            try advance(to: next)
            while let answer = bulkReceiver.takeAnswer(at: now) { try inject(answer) }
            try flush()
        }
        now = end
        sent = []
    }
}

// MARK: - Expectations

extension ScriptRunner {
    private mutating func next(at time: ScriptTime) throws(Fault) -> SentSegment {
        let (low, high) =
            switch time {
            case .now: (now, now)
            case .at(let time): (time, time)
            case .after(let time): (now + time, now + time)
            case .between(let low, let high): (low, high)
            case .afterBetween(let low, let high): (now + low, now + high)
            case .any: (0, now + 30 * 86_400_000_000_000)
            }
        if sent.isEmpty { try advance(to: max(now, high + configuration.tolerance), untilSent: true) }
        guard !sent.isEmpty else {
            let waiting = nextDeadline.map { "waits until \(ScriptTrace.seconds($0))" } ?? "waits for nothing"
            throw Fault("nothing was sent until \(ScriptTrace.seconds(high)); the machine \(waiting)")
        }
        let segment = sent.removeFirst()
        guard segment.time >= low - configuration.tolerance, segment.time <= high + configuration.tolerance else {
            throw Fault("sent at \(ScriptTrace.seconds(segment.time)), not at \(ScriptTrace.seconds(low)): \(segment)")
        }
        return segment
    }

    private mutating func expect(_ pattern: SegmentPattern, at time: ScriptTime) throws(Fault) {
        let segment = try next(at: time)
        if let difference = segment.difference(from: pattern, names: &names) {
            throw Fault("\(difference): \(segment)")
        }
    }

    private mutating func expectData(from start: Int, to end: Int, segments: Int?, at time: ScriptTime) throws(Fault) {
        var position = start
        var count = 0
        while position < end {
            let segment = try next(at: count == 0 ? time : .now)
            count += 1
            guard segment.sequence.lowerBound == position, !segment.sequence.isEmpty,
                segment.sequence.upperBound <= end,
                segment.flags.subtracting([.psh, .fin]) == .ack
            else { throw Fault("not the data from \(position) on, and at most until \(end): \(segment)") }
            position = segment.sequence.upperBound
        }
        guard count == segments ?? count else { throw Fault("\(count) segments") }
    }

    private mutating func check(_ expectation: ScriptExpectation) throws(Fault) {
        guard let state = machine?.state else { throw Fault("there is no connection yet") }
        switch expectation {
        case .nothing: break
        case .state(let name):
            guard "\(state)" == name else { throw Fault("the state is \(state)") }
        case .event(let name, let isExpected):
            let known: [String: TCPStateMachine.Events] = [
                "opened": .opened, "canRead": .canRead, "closed": .closed,
            ]
            guard let event = known[name] else { throw Fault("there is no event \(name)") }
            guard events.contains(event) == isExpected else {
                throw Fault(isExpected ? "it has not come" : "it has come")
            }
            events.remove(event)
        case .closed(let name):
            let failure = machine?.failure.map { "\($0)" } ?? "none"
            guard state == .closed else { throw Fault("the state is \(state)") }
            guard events.contains(.closed) else { throw Fault("there was no event") }
            guard failure == name else { throw Fault("the failure is \(failure)") }
        case .readable(let count):
            let readable = machine?.readableBytes ?? 0
            guard readable == count else { throw Fault("readable are \(readable)") }
        case .dropped(let name):
            let reason = machine?.drop.map { "\($0)" } ?? "nothing"
            guard reason == name else { throw Fault("it was dropped for: \(reason)") }
        case .finished(let isExpected):
            guard machine?.peerFinished == isExpected else { throw Fault("it is the other way round") }
        case .room(let bound):
            let room = machine?.sendRoom ?? 0
            guard bound.range.contains(room) else { throw Fault("room is for \(room)") }
        case .flight(let bound):
            guard bound.range.contains(peer.flight) else { throw Fault("in flight are \(peer.flight)") }
        case .measuredFlight(let bound):
            let share = peer.flight * 100 / max(measuredFlight, 1)
            guard bound.range.contains(share) else {
                throw Fault("in flight are \(peer.flight), \(share) % of \(measuredFlight)")
            }
        case .inFlight(let number, let isExpected):
            guard machine?.hasInFlight(starts.machine + number) == isExpected else {
                throw Fault("it is the other way round")
            }
        case .sent(let bound):
            guard bound.range.contains(sent.count) else { throw Fault("\(sent.count) segments") }
        case .noTimer:
            if let next = nextDeadline { throw Fault("the machine waits until \(ScriptTrace.seconds(next))") }
        }
    }
}
