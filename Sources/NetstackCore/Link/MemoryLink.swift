// A link within the process.

import DequeModule
public import NIOCore

/// One end of a pipe for packets: what is written to one end is read at the other.
///
/// The pipe is reliable and bounded: with 1 MiB queued, writers wait.
public struct MemoryLink: Link {
    fileprivate let inbound: PacketQueue
    fileprivate let outbound: PacketQueue
    fileprivate let offloading: Bool

    /// Both ends of a new pipe.
    ///
    /// - Parameter offloading: with a NIC at both ends, long segments of TCP cross the pipe as they are, neither cut to packets nor
    ///   copied nor summed (segmentation and checksum offload, which the kernel's loopback and veth do by default). Without,
    ///   they go as packets, as over any other link. A NIC's statistics are the same.
    public static func pipe(offloading: Bool = true) -> (MemoryLink, MemoryLink) {
        let there = PacketQueue(limit: linkBacklogLimit)
        let back = PacketQueue(limit: linkBacklogLimit)
        return (
            MemoryLink(inbound: back, outbound: there, offloading: offloading),
            MemoryLink(inbound: there, outbound: back, offloading: offloading)
        )
    }

    public var defaultMTU: Int { 65535 }

    public func read() async throws -> ByteBuffer? { try await inbound.readOne() }

    public func readBatch() async throws -> PacketBatch? { try await inbound.read() }

    /// - Throws: `NetstackError.linkDown` after either end has been closed.
    public func write(_ packet: ByteBuffer) async throws { try await outbound.write(PacketBatch(packet)) }

    public func writeBatch(_ packets: PacketBatch) async throws { try await outbound.write(packets) }

    /// Ends the pipe in both directions.
    public func close() async { end(nil) }

    fileprivate func end(_ error: (any Error)?) {
        inbound.end(error)
        outbound.end(error)
    }
}

extension MemoryLink: EventLoopLink {
    package func makeDriver(on eventLoop: any EventLoop) -> any LinkDriver {
        MemoryLinkDriver(self, on: eventLoop)
    }
}

/// An end of a pipe on an event loop.
package final class MemoryLinkDriver: LinkDriver {
    /// In bytes of packets.
    private static let togetherLimit = 64 << 10

    private let link: MemoryLink
    private let eventLoop: any EventLoop
    private var receiver: (any LinkReceiver)?

    package init(_ link: MemoryLink, on eventLoop: any EventLoop) {
        self.link = link
        self.eventLoop = eventLoop
    }

    /// While this is set, what arrives stays in the pipe: the far end feels it.
    package var isPaused = false {
        didSet { if oldValue, !isPaused { receive() } }
    }

    package var backlog: Int { link.outbound.byteCount }

    package var carriesSegments: Bool { link.outbound.takesSegments }

    package func start(_ receiver: any LinkReceiver) {
        self.receiver = receiver
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        link.inbound.attachConsumer(
            .init(eventLoop: eventLoop) { reach.value.receive() },
            takesSegments: link.offloading && receiver.takesSegments)
        link.outbound.attachProducer(.init(eventLoop: eventLoop) { reach.value.receiver?.linkDrained() })
    }

    package func send(_ packets: PacketBatch) { link.outbound.put(packets) }

    package func send(_ segments: [OffloadedSegment]) { link.outbound.put(segments) }

    package func stop() { stop(nil) }

    /// Ends the pipe; the far end hears of `error`.
    package func stop(_ error: (any Error)?) {
        receiver = nil
        link.inbound.attachConsumer(nil)
        link.outbound.attachProducer(nil)
        link.end(error)
    }

    private func receive() {
        // Paused for a channel that takes nothing: at the end that must not hold anything back.
        guard receiver != nil, !isPaused || link.inbound.hasEnded else { return }
        let burst = LoopBurst.current
        if burst.mustPause(eventLoop, { [self] in receive() }) { return }
        let (items, end) = link.inbound.takeAll()
        if !isPaused {
            // The rest of a write is a packet between segments. Many packets are read batch by batch, or datagrams would find
            // their sockets' queues full.
            let packetByteCount = items.reduce(0) { $0 + $1.packetByteCount }
            if items.contains(where: \.hasSegments), packetByteCount <= Self.togetherLimit {
                receiver?.together { deliver(items, burst) }
            } else {
                deliver(items, burst)
            }
        }
        guard let end, let receiver else { return }
        stop()
        receiver.linkEnded(end.error)
    }

    private func deliver(_ items: Deque<PacketQueue.Item>, _ burst: LoopBurst) {
        for item in items {
            switch item {
            case .packets(let packets):
                burst.carried(packets.byteCount)
                receiver?.linkReceived(packets)
            case .segments(let segments):
                burst.carried(0)
                receiver?.linkReceived(segments)
            }
        }
    }
}
