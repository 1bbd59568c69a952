// One stream of a session: its windows, what it has received, and its ends.

import DequeModule
package import NIOCore
package import NetstackNIO

/// A stream as its channel sees it. Bytes that its reader has not taken close the window to the peer.
package final class YamuxStream: StreamTransport {
    /// What each side may send before it hears of more.
    package static let initialWindow = 256 << 10
    /// The most data in a frame. Another stream waits no longer than for that many bytes.
    static let frameLimit = 32 << 10

    package let id: UInt32
    private let session: YamuxSession
    /// What may still be sent, and what the peer may still send.
    private var sendWindow = initialWindow
    package private(set) var receiveWindow = initialWindow
    /// What the peer may send once all has been read.
    package private(set) var window = initialWindow
    private var windowOpened: NIODeadline
    private var received: Deque<ByteBuffer> = []
    private var receivedCount = 0
    /// The last of `received`, as slices of what the connection has read.
    private var slices = (count: 0, bytes: 0)
    private var hasFinished = false
    package private(set) var peerFinished = false
    package private(set) var streamFailure: (any Error)?
    /// Whether nobody reads any more.
    private(set) var isAbandoned = false
    /// Whether the peer has yet to say that it knows of the stream.
    var awaitsAcknowledgment: Bool
    /// Whether it has more to send than there was room for.
    var isWaiting = false
    /// Told of what has happened, after a batch of frames.
    package var channel: StreamChannel?

    init(_ id: UInt32, _ session: YamuxSession, awaitsAcknowledgment: Bool) {
        self.id = id
        self.session = session
        self.awaitsAcknowledgment = awaitsAcknowledgment
        windowOpened = session.clock()
    }

    // MARK: Reading

    package var canRead: Bool { !received.isEmpty || peerFinished }
    package var isFinished: Bool { peerFinished && received.isEmpty }

    package func read(upTo limit: Int) -> ByteBuffer? {
        guard !received.isEmpty, let bytes = received[0].readSlice(length: min(limit, received[0].readableBytes)) else {
            return nil
        }
        if received[0].readableBytes == 0 { received.removeFirst() }
        receivedCount -= bytes.readableBytes
        openWindow()
        return bytes
    }

    /// Tells the peer of room once that is half a window. A window that is used up within a few round trips is too small;
    /// one that was larger than its share may be when there were fewer streams, is too large.
    private func openWindow() {
        guard !peerFinished, streamFailure == nil else { return }
        guard window - receiveWindow - receivedCount >= window / 2 else { return }
        let now = session.clock()
        session.measureRoundTrip()
        let excess = window - session.windowLimit
        if excess > 0 {
            window -= session.shrink(by: excess)
        } else if let roundTrip = session.roundTrip, now - windowOpened < roundTrip * 4 {
            window += session.grow(by: min(window, -excess))
        }
        windowOpened = now
        let more = window - receiveWindow - receivedCount
        guard more > 0 else { return }
        receiveWindow += more
        session.send(YamuxFrame(.windowUpdate, streamID: id, length: UInt32(clamping: more)))
    }

    // MARK: Writing

    package func write(_ bytes: inout ByteBuffer, more: Bool) throws {
        guard !hasFinished, streamFailure == nil else { throw LibP2PError.closed }
        while bytes.readableBytes > 0, sendWindow > 0 {
            let count = session.room(for: self, min(bytes.readableBytes, sendWindow, Self.frameLimit))
            guard count > 0, let data = bytes.readSlice(length: count) else { return }
            sendWindow -= count
            session.send(YamuxFrame(.data, streamID: id, length: UInt32(clamping: count)), data)
        }
    }

    // MARK: Closing

    package func closeWrite() {
        guard !hasFinished, streamFailure == nil else { return }
        hasFinished = true
        session.send(YamuxFrame(.windowUpdate, .fin, streamID: id))
        if peerFinished { session.forget(self) }
    }

    package func close() {
        // As with TCP: what has been sent and will never be read is worth a reset.
        if receivedCount > 0 { return reset() }
        closeWrite()
        channel = nil
        isAbandoned = true
        if !peerFinished { session.abandoned(self) }
    }

    package func reset() {
        channel = nil
        guard streamFailure == nil else { return }
        streamFailure = LibP2PError.closed
        if !(hasFinished && peerFinished) { session.send(YamuxFrame(.windowUpdate, .rst, streamID: id)) }
        session.forget(self)
    }

    // MARK: From the peer

    /// Whether the peer may send that much.
    func takes(_ count: Int) -> Bool { !peerFinished && count <= receiveWindow }

    /// Data of a frame, or a part of it.
    func receive(_ data: ByteBuffer) {
        guard streamFailure == nil else { return }
        receiveWindow -= data.readableBytes
        if isAbandoned { return reset() }
        received.append(data)
        receivedCount += data.readableBytes
        slices.count += 1
        slices.bytes += data.readableBytes
    }

    /// A slice holds on to the whole of the `total` bytes that it was cut from. Where the stream got only a small part of
    /// them, or small pieces, it keeps a copy instead: so what is unread takes not much more memory than its window.
    func keepReceived(of total: Int) {
        let (count, bytes) = slices
        slices = (0, 0)
        guard count > 0, bytes < total / 4 || bytes < count * 512 else { return }
        let pieces = received.suffix(count)
        received.removeLast(count)
        // Behind what was kept before, if both are small.
        var copy = ByteBuffer()
        if let last = received.last, last.readableBytes + bytes <= 1 << 14 { copy = received.removeLast() }
        copy.reserveCapacity(minimumWritableBytes: bytes)
        for piece in pieces { copy.writeImmutableBuffer(piece) }
        received.append(copy)
    }

    func openSendWindow(by count: UInt32) throws(LibP2PError) {
        guard sendWindow + Int(count) <= Int(UInt32.max) else { throw .yamux(fault: "a window above 4 GiB") }
        sendWindow += Int(count)
    }

    func finishPeer() {
        peerFinished = true
        if hasFinished { session.forget(self) }
    }

    func fail(_ error: any Error) {
        streamFailure = streamFailure ?? error
        session.forget(self)
    }

    /// Bytes by which its window has grown.
    var grownBy: Int { window - Self.initialWindow }

    func tell() {
        channel?.deliver()
        channel?.writeFlushed()
    }
}
