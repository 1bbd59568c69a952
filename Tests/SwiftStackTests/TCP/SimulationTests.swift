// Two machines over a link that loses, delays, reorders and duplicates, in virtual time: whatever the link does, every byte
// arrives once and in order, both sides close, and nothing is left to do.

import NIOCore
import NetstackCore
import SwiftStack
import Testing

@Suite struct SimulationTests {
    @Test(arguments: [0, 0.01, 0.05, 0.2] as [Double], [false, true])
    func everyByteArrivesAndBothSidesClose(loss: Double, isCubic: Bool) throws {
        for seed in 0..<8 as Range<UInt64> {
            var simulation = Simulation(seed: seed, loss: loss, isCubic: isCubic)
            try simulation.run()
        }
    }
}

/// A generator of the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func happens(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}

private struct Simulation {
    struct Failed: Error, CustomStringConvertible { let description: String }

    /// One side: its machine, what it has still to write, and what it has read.
    final class Side {
        var machine: TCPStateMachine
        let length: Int
        var written = 0
        var read = 0
        var isReading = true
        var sawEnd = false
        var isWriteClosed = false

        init(machine: consuming TCPStateMachine, length: Int) {
            self.machine = machine
            self.length = length
        }
    }

    struct Flying {
        var segment: TCPSegment
        var arrival: NIODeadline
        var side: Int
    }

    let seed: UInt64
    let loss: Double
    var random: SeededGenerator
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    var sides: [Side?] = []
    var flying: [Flying] = []
    var configuration = TCPConfiguration()
    let delay: TimeAmount
    let jitter: Int64

    init(seed: UInt64, loss: Double, isCubic: Bool) {
        self.seed = seed
        self.loss = loss
        random = SeededGenerator(state: seed &* 7919 &+ UInt64(loss * 1000))
        delay = .microseconds([10, 200, 5_000, 60_000].randomElement(using: &random) ?? 10)
        jitter = random.happens(0.5) ? delay.nanoseconds / 2 : 0
        configuration.congestionControl = isCubic ? .cubic : .newReno
        configuration.offersTimestamps = random.happens(0.7)
        configuration.offersSelectiveAcknowledgment = random.happens(0.8)
        configuration.offersWindowScale = random.happens(0.8)
        configuration.sendsAtOnce = random.happens(0.7)
        configuration.offersECN = random.happens(0.3)
        configuration.initialReceiveWindow = [2_000, 20_000, 256 << 10].randomElement(using: &random) ?? 0
        configuration.maximumOutgoingLength = [1460, 16 << 10, 60 << 10].randomElement(using: &random) ?? 0
        let machine = TCPStateMachine(
            connecting: .init(configuration), initialSequenceNumber: TCPSequenceNumber(0xffff_f000),
            timestampOffset: 0xffff_fff0,
            now: now)
        let lengths = [0, 1, 5_000, 100_000, 400_000]
        sides = [
            Side(machine: machine, length: lengths.randomElement(using: &random) ?? 0),
            nil,
        ]
        otherLength = lengths.randomElement(using: &random) ?? 0
    }

    let otherLength: Int

    /// What either side writes the beginning of.
    static let content = [UInt64(1), 2].map { seed in
        var random = SeededGenerator(state: seed)
        return ByteBuffer(bytes: (0..<400_000).map { _ in UInt8.random(in: 0...255, using: &random) })
    }

    mutating func run() throws {
        var steps = 0
        while !isOver {
            steps += 1
            if steps > 2_000_000 { throw failed("does not end") }
            for side in 0..<2 {
                try use(side)
                try transmit(side)
            }
            guard !isOver else { break }
            guard let next = nextTime else { throw failed("stands still") }
            now = max(next, now)
            while let arrived = flying.first, arrived.arrival <= now {
                flying.removeFirst()
                deliver(arrived)
                if let side = sides[arrived.side], side.isReading { try use(arrived.side) }
                try transmit(arrived.side)
            }
            for side in 0..<2 {
                guard let deadline = sides[side]?.machine.nextDeadline, deadline <= now else { continue }
                sides[side]?.machine.timersDue(now: now)
                try transmit(side)
                if let after = sides[side]?.machine.nextDeadline, after <= now { throw failed("a timer stands still") }
            }
        }
        for side in sides.compactMap({ $0 }) {
            if side.machine.nextDeadline != nil { throw failed("a timer is left") }
            if side.machine.failure != nil { throw failed("failed: \(String(describing: side.machine.failure))") }
        }
        if sides[1]?.read != sides[0]?.length || sides[0]?.read != otherLength { throw failed("bytes are missing") }
    }

    var isOver: Bool { sides.allSatisfy { $0?.machine.state == .closed && $0?.machine.readableBytes == 0 } }

    func failed(_ why: String) -> Failed {
        let states = sides.map { side in
            side.map {
                "\($0.machine.state) written \($0.written)/\($0.length) read \($0.read) due \(String(describing: $0.machine.nextDeadline))"
            } ?? "none"
        }
        return Failed(description: "seed \(seed) loss \(loss) at \(now): \(why); \(states); in the air \(flying.count)")
    }

    var nextTime: NIODeadline? {
        let deadlines = sides.compactMap { $0?.machine.nextDeadline } + flying.prefix(1).map(\.arrival)
        // Somebody who does not read, or write, may change his mind.
        let pause: [NIODeadline] =
            sides.contains { $0.map { !$0.isReading || ($0.written < $0.length && $0.machine.sendRoom > 0) } ?? false }
            ? [now + .milliseconds(50)] : []
        return (deadlines + pause).min()
    }

    mutating func use(_ index: Int) throws {
        guard let side = sides[index], side.machine.state != .synSent else { return }
        if random.happens(0.02) { side.isReading.toggle() }
        while side.isReading,
            let bytes = side.machine.read(upTo: 1 + Int.random(in: 0..<100_000, using: &random), now: now)
        {
            guard bytes == Self.content[1 - index].getSlice(at: side.read, length: bytes.readableBytes) else {
                throw failed("wrong bytes at \(side.read)")
            }
            side.read += bytes.readableBytes
        }
        if side.machine.peerFinished, side.machine.readableBytes == 0 { side.sawEnd = true }
        while side.written < side.length {
            let wanted = random.happens(0.3) ? 1 : Int.random(in: 1..<50_000, using: &random)
            let length = min(wanted, side.length - side.written)
            var bytes = Self.content[index].getSlice(at: side.written, length: length) ?? ByteBuffer()
            side.machine.write(&bytes, more: random.happens(0.1), now: now)
            side.written += length - bytes.readableBytes
            if bytes.readableBytes > 0 || random.happens(0.2) { break }
        }
        if side.written == side.length, !side.isWriteClosed, side.sawEnd || random.happens(0.5) {
            side.isWriteClosed = true
            side.machine.closeWrite(now: now)
        }
        _ = side.machine.takeEvents()
    }

    mutating func transmit(_ index: Int) throws {
        guard let side = sides[index] else { return }
        var out: [TCPSegment] = []
        var isFull = random.happens(0.02)
        let limit = Int.random(in: 1...8, using: &random)
        side.machine.transmit(now: now) { outgoing, buffer in
            if isFull, out.count >= limit {
                isFull = false
                return false
            }
            out.append(contentsOf: cut(outgoing, buffer))
            return true
        }
        for segment in out {
            guard !random.happens(loss) else { continue }
            for _ in 0..<(random.happens(loss / 2) ? 2 : 1) {
                let late =
                    jitter > 0 && random.happens(0.1)
                    ? TimeAmount.nanoseconds(Int64.random(in: 0...jitter, using: &random)) : .zero
                fly(Flying(segment: segment, arrival: now + delay + late, side: 1 - index))
            }
        }
    }

    /// Puts it where it arrives in its turn.
    mutating func fly(_ segment: Flying) {
        var index = flying.count
        while index > 0, flying[index - 1].arrival > segment.arrival { index -= 1 }
        flying.insert(segment, at: index)
    }

    mutating func deliver(_ arrived: Flying) {
        if arrived.side == 1, sides[1] == nil {
            guard arrived.segment.flags.contains(.syn) else { return }
            let machine = TCPStateMachine(
                accepting: arrived.segment, configuration: .init(configuration),
                initialSequenceNumber: TCPSequenceNumber(0x7fff_fff0), timestampOffset: 77, now: now)
            sides[1] = Side(machine: machine, length: otherLength)
        } else if sides[arrived.side]?.machine.state != .closed {
            sides[arrived.side]?.machine.receive(arrived.segment, now: now)
        } else if !arrived.segment.flags.contains(.rst) {
            // What a stack does without a connection (RFC 9293 section 3.10.7.1).
            let reset = TCPSegment(sequenceNumber: arrived.segment.acknowledgmentNumber, flags: .rst)
            fly(Flying(segment: reset, arrival: now + delay, side: 1 - arrived.side))
        }
    }
}

/// Does what a link does: cuts to pieces that the path takes.
private func cut(_ outgoing: TCPOutgoingSegment, _ buffer: borrowing TCPSendBuffer) -> [TCPSegment] {
    var pieces: [TCPSegment] = []
    var offset = 0
    repeat {
        let length = min(outgoing.payloadLength - offset, outgoing.maximumSegmentSize)
        let isLast = offset + length == outgoing.payloadLength
        var flags = outgoing.flags
        if !isLast { flags.subtract([.fin, .psh]) }
        if offset > 0 { flags.remove(.cwr) }
        var piece = TCPSegment(sequenceNumber: outgoing.sequenceNumber + offset, flags: flags)
        piece.acknowledgmentNumber = outgoing.acknowledgmentNumber
        piece.window = outgoing.window
        piece.options = outgoing.options
        var payload = ByteBufferAllocator().buffer(capacity: length)
        payload.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { bytes in
            if let base = bytes.baseAddress {
                buffer.copyBytes(from: outgoing.payloadOffset + offset, count: length, to: base)
            }
            return length
        }
        piece.payload = payload
        pieces.append(piece)
        offset += length
    } while offset < outgoing.payloadLength
    return pieces
}
