// Drives any link through its async interface: one task reads, and one at a time writes.

import NIOCore

final class TaskLinkDriver: LinkDriver {
    private let link: any Link
    private let eventLoop: any EventLoop
    private var receiver: (any LinkReceiver)?
    private var reading: Task<Void, Never>?
    private var writing: Task<Void, Never>?
    /// What waits for the write under way.
    private var pending = PacketBatch()
    private(set) var backlog = 0

    init(link: any Link, on eventLoop: any EventLoop) {
        self.link = link
        self.eventLoop = eventLoop
    }

    func start(_ receiver: any LinkReceiver) {
        self.receiver = receiver
        reading = Task { [link, reach = NIOLoopBound(self, eventLoop: eventLoop)] in
            do {
                while let packets = try await link.readBatch() {
                    // Waiting for the stack is what pushes back on a link that is faster.
                    await reach.execute { $0.receiver?.linkReceived(packets) }
                }
                await reach.execute { $0.end(nil) }
            } catch {
                await reach.execute { $0.end(error) }
            }
        }
    }

    func send(_ packets: PacketBatch) {
        guard receiver != nil else { return }
        backlog += packets.byteCount
        if writing == nil {
            write(packets)
        } else {
            pending.append(contentsOf: packets)
        }
    }

    func stop() {
        receiver = nil
        reading?.cancel()
        // What is told to peers at the end still leaves, if the link takes it soon.
        let (last, under) = (pending, writing)
        pending = PacketBatch()
        let closing = Task { [link] in
            await under?.value
            if !last.isEmpty { try? await link.writeBatch(last) }
            await link.close()
        }
        eventLoop.scheduleTask(in: .seconds(1)) { [link] in
            under?.cancel()
            closing.cancel()
            Task { await link.close() }
        }
    }

    private func write(_ packets: PacketBatch) {
        writing = Task { [link, reach = NIOLoopBound(self, eventLoop: eventLoop)] in
            do {
                try await link.writeBatch(packets)
                await reach.execute { $0.wrote(packets.byteCount) }
            } catch NetstackError.linkDown(reason: nil) {
                // The far end has closed the link in good order, which reading it would have told next.
                await reach.execute { $0.end(nil) }
            } catch {
                await reach.execute { $0.end(error) }
            }
        }
    }

    private func wrote(_ count: Int) {
        writing = nil
        let wasFull = backlog >= linkBacklogLimit
        backlog -= count
        if !pending.isEmpty {
            let next = pending
            pending = PacketBatch()
            write(next)
        }
        if wasFull, backlog < linkBacklogLimit { receiver?.linkDrained() }
    }

    private func end(_ error: (any Error)?) {
        guard let receiver else { return }
        stop()
        receiver.linkEnded(error)
    }
}

extension NIOLoopBound {
    /// Runs `body` on the value's event loop and waits for it.
    func execute(_ body: @escaping @Sendable (Value) -> Void) async {
        await withCheckedContinuation { continuation in
            eventLoop.execute {
                body(self.value)
                continuation.resume()
            }
        }
    }
}
