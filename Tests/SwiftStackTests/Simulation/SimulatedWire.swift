// One end of a link between two stacks in virtual time. Its packets meet with what a simulated link does to them, and some
// arrive with a wrong bit.

import NIOCore
import NetstackCore

/// A link in both of its roles. It lives in one task, as its loop does.
final class SimulatedWire: LinkDriver, EventLoopLink, @unchecked Sendable {
    /// What packets from here meet with.
    var link: SimulatedLink
    /// The share of packets from here that are not what they were.
    var corruption = 0.0
    private(set) var corrupted = 0
    weak var peer: SimulatedWire?
    private var receiver: (any LinkReceiver)?
    private let loop: VirtualLoop
    /// What is on its way here: that of the same time is received as one.
    private var arrivals: [NIODeadline: PacketBatch] = [:]
    private var random: SeededGenerator

    init(_ conditions: SimulatedLink.Conditions, seed: UInt64, on loop: VirtualLoop) {
        link = SimulatedLink(conditions, seed: seed)
        random = SeededGenerator(state: ~seed)
        self.loop = loop
    }

    func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver { self }

    func start(_ receiver: any LinkReceiver) { self.receiver = receiver }

    func stop() { receiver = nil }

    /// What waits is the link's, which drops what it has no room for.
    var backlog: Int { 0 }

    func send(_ packets: PacketBatch) {
        for packet in packets {
            let arrivals = link.send(length: packet.readableBytes, at: loop.now)
            let arriving = random.happens(corruption) ? corrupt(packet) : packet
            if let first = arrivals.first { peer?.expect(arriving, at: first) }
            if let duplicate = arrivals.duplicate { peer?.expect(packet, at: duplicate) }
        }
    }

    /// One bit: what the Internet checksum always finds.
    private func corrupt(_ packet: ByteBuffer) -> ByteBuffer {
        corrupted += 1
        var bytes = packet
        let place = bytes.readerIndex + .random(in: 0..<bytes.readableBytes, using: &random)
        let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &random)
        bytes.setInteger((bytes.getInteger(at: place) ?? 0) ^ bit, at: place)
        return bytes
    }

    private func expect(_ packet: ByteBuffer, at time: NIODeadline) {
        if arrivals[time]?.append(packet) != nil { return }
        arrivals[time] = PacketBatch(packet)
        loop.schedule(at: time) { [weak self] in
            if let self, let packets = arrivals.removeValue(forKey: time) { receiver?.linkReceived(packets) }
        }
    }

    // MARK: As a link of tasks, which it never is

    func read() async throws -> ByteBuffer? { nil }
    func write(_ packet: ByteBuffer) async throws {}
}
