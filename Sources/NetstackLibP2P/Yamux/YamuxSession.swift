// A Yamux session: frames in, frames and streams out. It has no I/O and no clock of its own.

import DequeModule
package import NIOCore
import NetstackNIO

/// Bounds on what the peer of a session can make it hold.
package struct YamuxLimits {
    /// Streams of the peer that are open at once. Beyond: they are reset.
    package var inboundStreams = 256
    /// Streams opened here that the peer has not acknowledged. Beyond: opening throws.
    package var unacknowledgedStreams = 256
    /// How far the receive window of a stream may grow, in bytes; at least what each has at first.
    package var streamWindowBytes = 16 << 20
    /// How far all windows may grow together, in bytes, beyond what each has at first.
    package var connectionWindowBytes = 64 << 20

    package init() {}
}

/// One side of a connection that carries many streams (https://github.com/hashicorp/yamux/blob/master/spec.md).
package final class YamuxSession {
    /// The client is the side that dialled: its streams have odd numbers.
    package enum Role { case client, server }

    /// Why a session ends (specification, Go Away).
    package enum Code {
        package static let normal: UInt32 = 0, protocolError: UInt32 = 1, internalError: UInt32 = 2
    }

    /// With this many bytes to send, streams wait.
    private static let outputLimit = 256 << 10
    /// Answers to pings, and the like, that a peer who takes none of them can make it hold.
    private static let controlLimit = 1 << 20
    /// Streams closed here whose peer has not closed them; beyond, the oldest are reset.
    private static let abandonedLimit = 256

    package let limits: YamuxLimits
    let clock: () -> NIODeadline
    private let role: Role
    /// By number.
    package private(set) var streams: [UInt32: YamuxStream] = [:]
    private var nextID: UInt32
    private var lastPeerID: UInt32 = 0
    private var inboundCount = 0
    private var unacknowledgedCount = 0
    private var abandonedStreams: Deque<UInt32> = []
    private var grown = 0

    /// Frames to send.
    package private(set) var output = ByteBuffer()
    /// Whether what is sent leaves at once. If not, streams wait.
    package var isWritable = true
    /// Called when there is the first of something to send.
    package var hasOutput: () -> Void = {}
    /// Streams that wait for room, in turns.
    private var waiting: Deque<YamuxStream> = []
    /// The one whose turn it is, and whether it has sent a frame.
    private var turn: (stream: YamuxStream, isUsed: Bool)?

    private var input = ByteBuffer()
    /// What is still to come of a frame's data, and where it goes; to nobody if the stream has gone.
    private var data: (stream: YamuxStream?, rest: Int, finishes: Bool)?
    /// Streams that have had data of the read under way.
    private var fed: [YamuxStream] = []
    private var touched: [YamuxStream] = []
    /// Streams that the peer has opened.
    package private(set) var accepted: [YamuxStream] = []
    /// Streams of the peer that were reset for the limit.
    package private(set) var refusedCount = 0

    private var pings: [UInt32: NIODeadline] = [:]
    private var nextPing: UInt32 = 0
    /// The answers to pings since the last look.
    package private(set) var answeredPings: [UInt32] = []
    /// The last measured.
    package private(set) var roundTrip: TimeAmount?
    /// The code that the peer has ended the session with.
    package private(set) var peerGoAway: UInt32?
    /// Whether this side has ended the session.
    private(set) var wentAway = false

    /// - Parameter clock: what time it is.
    package init(_ role: Role, limits: YamuxLimits = YamuxLimits(), clock: @escaping () -> NIODeadline) {
        self.role = role
        self.limits = limits
        self.clock = clock
        nextID = role == .client ? 1 : 2
    }

    // MARK: Opening

    /// - Throws: `LibP2PError.goAway`, `.limitReached`.
    package func openStream() throws(LibP2PError) -> YamuxStream {
        if let peerGoAway { throw .goAway(code: peerGoAway) }
        guard unacknowledgedCount < limits.unacknowledgedStreams else {
            throw .limitReached(what: "unacknowledgedStreams", limit: limits.unacknowledgedStreams)
        }
        guard nextID <= UInt32.max - 2 else { throw .limitReached(what: "stream numbers", limit: Int(UInt32.max)) }
        let stream = YamuxStream(nextID, self, awaitsAcknowledgment: true)
        nextID += 2
        unacknowledgedCount += 1
        streams[stream.id] = stream
        send(YamuxFrame(.windowUpdate, .syn, streamID: stream.id))
        return stream
    }

    // MARK: What streams do

    func send(_ frame: YamuxFrame, _ data: ByteBuffer = ByteBuffer()) {
        let isFirst = output.readableBytes == 0
        frame.write(to: &output)
        output.writeImmutableBuffer(data)
        if isFirst { hasOutput() }
    }

    /// How much of `count` a stream may send now. If it is none, the stream is told later.
    func room(for stream: YamuxStream, _ count: Int) -> Int {
        if isWritable, output.readableBytes < Self.outputLimit {
            let othersWait = waiting.count > (stream.isWaiting ? 1 : 0)
            // Where others wait, each sends one frame in its turn.
            if !othersWait { return count }
            if turn?.stream === stream, turn?.isUsed == false {
                turn?.isUsed = true
                return count
            }
        }
        if !stream.isWaiting {
            stream.isWaiting = true
            waiting.append(stream)
        }
        return 0
    }

    /// The largest window of a stream: they share what the connection may hold.
    var windowLimit: Int {
        min(limits.streamWindowBytes, YamuxStream.initialWindow + limits.connectionWindowBytes / max(streams.count, 1))
    }

    /// By how much a window may grow: as much as is asked for, or nothing.
    func grow(by count: Int) -> Int {
        guard count > 0, grown + count <= limits.connectionWindowBytes else { return 0 }
        grown += count
        return count
    }

    func shrink(by count: Int) -> Int {
        grown -= count
        return count
    }

    func forget(_ stream: YamuxStream) {
        guard streams.removeValue(forKey: stream.id) != nil else { return }
        grown -= stream.grownBy
        if isOwn(stream.id) { acknowledged(stream) } else { inboundCount -= 1 }
        if stream.isWaiting { waiting.removeAll { $0 === stream } }
        if stream.isAbandoned { abandonedStreams.removeAll { $0 == stream.id } }
    }

    func abandoned(_ stream: YamuxStream) {
        guard streams[stream.id] != nil else { return }
        abandonedStreams.append(stream.id)
        if abandonedStreams.count > Self.abandonedLimit, let oldest = abandonedStreams.popFirst() {
            streams[oldest]?.reset()
        }
    }

    private func acknowledged(_ stream: YamuxStream) {
        guard stream.awaitsAcknowledgment else { return }
        stream.awaitsAcknowledgment = false
        unacknowledgedCount -= 1
    }

    private func isOwn(_ id: UInt32) -> Bool { (id % 2 == 1) == (role == .client) }

    // MARK: What the connection does

    /// Everything to send.
    package func takeOutput() -> ByteBuffer {
        defer { output = ByteBuffer() }
        return output
    }

    /// Lets the streams that wait go on, one frame's worth after the other, as far as there is room.
    package func resumeWriting() {
        var turns = waiting.count
        while turns > 0, isWritable, output.readableBytes < Self.outputLimit, let stream = waiting.popFirst() {
            turns -= 1
            stream.isWaiting = false
            turn = (stream, false)
            stream.channel?.writeFlushed()
            turn = nil
        }
    }

    package var hasWaiting: Bool { !waiting.isEmpty }

    /// Asks for a sign of life. The number of the ping is among `answeredPings` later.
    package func ping() -> UInt32 {
        nextPing &+= 1
        pings[nextPing] = clock()
        send(YamuxFrame(.ping, .syn, length: nextPing))
        return nextPing
    }

    /// Pings, unless the answer to a ping is still to come: the round trip is longer while much is under way, and then takes
    /// larger windows.
    func measureRoundTrip() {
        if pings.isEmpty { _ = ping() }
    }

    package func goAway(_ code: UInt32) {
        wentAway = true
        send(YamuxFrame(.goAway, length: code))
    }

    /// Ends all streams with an error, which `takeNews` then tells of. Nothing may be received after that.
    package func end(_ error: any Error) {
        data = nil
        for stream in streams.values {
            stream.fail(error)
            touched.append(stream)
        }
    }

    /// What has news since the last call.
    package func takeNews() -> (touched: [YamuxStream], accepted: [YamuxStream], answeredPings: [UInt32]) {
        defer { (touched, accepted, answeredPings) = ([], [], []) }
        return (touched, accepted, answeredPings)
    }

    // MARK: Frames

    /// Takes what has arrived.
    ///
    /// - Throws: `LibP2PError.yamux`: the peer does not keep to the protocol, and the session is over.
    package func receive(_ bytes: ByteBuffer) throws(LibP2PError) {
        if input.readableBytes == 0 { input = bytes } else { input.writeImmutableBuffer(bytes) }
        defer {
            for stream in fed { stream.keepReceived(of: bytes.readableBytes) }
            fed.removeAll(keepingCapacity: true)
        }
        while input.readableBytes > 0 {
            if data != nil {
                receiveData()
            } else {
                guard let frame = try YamuxFrame(parsing: &input) else { break }
                try receive(frame)
            }
        }
        // A copy of the rest, less than a header, lets go of what came before it.
        input = input.readableBytes > 0 ? ByteBuffer(bytes: input.readableBytesView) : ByteBuffer()
    }

    private func receiveData() {
        guard let (stream, rest, finishes) = data,
            let part = input.readSlice(length: min(rest, input.readableBytes))
        else { return }
        if let stream {
            stream.receive(part)
            if fed.last !== stream { fed.append(stream) }
            touch(stream)
        }
        let left = rest - part.readableBytes
        data = left > 0 ? (stream, left, finishes) : nil
        if left == 0, finishes { stream?.finishPeer() }
    }

    private func touch(_ stream: YamuxStream?) {
        if let stream, touched.last !== stream { touched.append(stream) }
    }

    private func receive(_ frame: YamuxFrame) throws(LibP2PError) {
        switch frame.kind {
        case .ping: try receivePing(frame)
        case .goAway: peerGoAway = frame.length
        case .data, .windowUpdate: try receiveForStream(frame)
        }
    }

    private func receivePing(_ frame: YamuxFrame) throws(LibP2PError) {
        if frame.flags.contains(.syn) {
            guard output.readableBytes < Self.controlLimit else {
                throw .yamux(fault: "pings come faster than answers can leave")
            }
            send(YamuxFrame(.ping, .ack, length: frame.length))
        } else if let sent = pings.removeValue(forKey: frame.length) {
            roundTrip = clock() - sent
            answeredPings.append(frame.length)
        }
    }

    private func receiveForStream(_ frame: YamuxFrame) throws(LibP2PError) {
        if frame.flags.contains(.syn) { try accept(frame) }
        let stream = streams[frame.streamID]
        if stream == nil { try requireKnown(frame.streamID) }
        if let stream, frame.flags.contains(.ack) { acknowledged(stream) }
        if frame.flags.contains(.rst) {
            stream?.fail(LibP2PError.streamReset)
            touch(stream)
            // Its data, if it has any, are for nobody.
            if frame.kind == .data, frame.length > 0 { data = (nil, Int(frame.length), false) }
            return
        }
        let finishes = frame.flags.contains(.fin)
        if frame.kind == .data, frame.length > 0 {
            let count = Int(frame.length)
            // Also for a stream that has gone: a peer that is honest has no more than a window under way.
            guard stream?.takes(count) ?? (count <= limits.streamWindowBytes) else {
                throw .yamux(fault: "\(count) bytes for stream \(frame.streamID), which are more than its window")
            }
            data = (stream, count, finishes)
            return
        }
        if frame.kind == .windowUpdate { try stream?.openSendWindow(by: frame.length) }
        if finishes { stream?.finishPeer() }
        touch(stream)
    }

    private func accept(_ frame: YamuxFrame) throws(LibP2PError) {
        let id = frame.streamID
        guard !isOwn(id), streams[id] == nil else {
            throw .yamux(fault: "stream \(id) can't be opened by the peer, or is open")
        }
        lastPeerID = max(lastPeerID, id)
        guard output.readableBytes < Self.controlLimit else {
            throw .yamux(fault: "streams come faster than answers can leave")
        }
        guard inboundCount < limits.inboundStreams else {
            refusedCount += 1
            return send(YamuxFrame(.windowUpdate, .rst, streamID: id))
        }
        let stream = YamuxStream(id, self, awaitsAcknowledgment: false)
        inboundCount += 1
        streams[id] = stream
        accepted.append(stream)
        send(YamuxFrame(.windowUpdate, .ack, streamID: id))
    }

    /// Frames may be under way when a stream ends; but not before it begins.
    private func requireKnown(_ id: UInt32) throws(LibP2PError) {
        guard isOwn(id) ? id < nextID : id <= lastPeerID else {
            throw .yamux(fault: "a frame for stream \(id), which nobody has opened")
        }
    }
}
