// The link under the stack that is fuzzed: what comes out is looked at at once.

import NIOCore
import Netstack

/// A link in both of its roles. It lives in one task, as its loop does.
final class Wire: LinkDriver, EventLoopLink, @unchecked Sendable {
    /// Called for each packet that the stack sends.
    var sent: ((ByteBuffer) -> Void)?
    private var receiver: (any LinkReceiver)?
    /// As the stack shall see it.
    private(set) var backlog = 0

    func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver { self }

    func start(_ receiver: any LinkReceiver) { self.receiver = receiver }

    func send(_ packets: PacketBatch) {
        for packet in packets { sent?(packet) }
    }

    func stop() { receiver = nil }

    func deliver(_ packets: PacketBatch) { receiver?.linkReceived(packets) }

    /// A full link takes no segments with data until it has drained.
    func setFull(_ isFull: Bool) {
        let wasFull = backlog > 0
        backlog = isFull ? linkBacklogLimit : 0
        if wasFull, !isFull { receiver?.linkDrained() }
    }

    func end() {
        let receiver = receiver
        stop()
        receiver?.linkEnded(nil)
    }

    // MARK: As a link of tasks, which it never is

    func read() async throws -> ByteBuffer? { nil }
    func write(_ packet: ByteBuffer) async throws {}
}
