// What a peer can make a connection hold beyond its window: segments that overlap bring little and are long.

import NIOCore
import NetstackCore
import SwiftStack
import Testing

@Suite struct ReceiveMemoryTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private static func segment(_ sequence: UInt32, _ length: Int) -> TCPSegment {
        var segment = TCPSegment(sequenceNumber: TCPSequenceNumber(sequence), flags: .ack)
        segment.acknowledgmentNumber = TCPSequenceNumber(5001)
        segment.window = .max
        segment.payload = ByteBuffer(repeating: 7, count: length)
        return segment
    }

    /// Established, with 1000 the next sequence number.
    private static func established() -> TCPStateMachine {
        var syn = TCPSegment(sequenceNumber: TCPSequenceNumber(999), flags: .syn)
        syn.window = .max
        var machine = TCPStateMachine(
            accepting: syn, configuration: .init(TCPConfiguration()), initialSequenceNumber: TCPSequenceNumber(5000),
            timestampOffset: 0, now: now)
        machine.transmit(now: now) { _, _ in true }
        machine.receive(segment(1000, 0), now: now)
        #expect(machine.state == .established)
        return machine
    }

    /// The memory of all that can be read.
    private static func capacity(_ machine: inout TCPStateMachine) -> (bytes: Int, capacity: Int) {
        var (bytes, capacity) = (0, 0)
        while let piece = machine.read(upTo: .max, now: now) {
            bytes += piece.readableBytes
            capacity += piece.storageCapacity
        }
        return (bytes, capacity)
    }

    @Test func segmentsThatBeginBeforeWhatIsDueLeaveOnlyWhatTheyBring() {
        var machine = Self.established()
        machine.receive(Self.segment(1000, 20_000), now: Self.now)
        for index in 1...40 {
            machine.receive(Self.segment(1000 + 1100 * UInt32(index), 20_000), now: Self.now)
        }
        let (bytes, capacity) = Self.capacity(&machine)
        #expect(bytes == 20_000 + 40 * 1100)
        #expect(capacity < 3 * bytes)
    }

    @Test func segmentsAheadLeaveOnlyWhatTheyBring() {
        var machine = Self.established()
        for index in (1...40).reversed() {
            machine.receive(Self.segment(1000 + 1100 * UInt32(index), 20_000), now: Self.now)
        }
        machine.receive(Self.segment(1000, 1100), now: Self.now)
        let (bytes, capacity) = Self.capacity(&machine)
        #expect(bytes == 20_000 + 40 * 1100)
        #expect(capacity < 3 * bytes)
    }
}
