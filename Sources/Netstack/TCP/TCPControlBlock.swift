// A TCP connection as the event loop sees it: lwIP's pcb, what it has received, and what is to be told.

import CLwIP
import DequeModule
package import NIOCore

/// Hears of a connection's events, on the event loop, after the library has been left: it may call back freely.
package protocol TCPControlBlockDelegate: AnyObject {
    /// There is something to read: bytes, or the end.
    func controlBlockCanRead(_ block: TCPControlBlock)
    /// A write that found no room would find some now.
    func controlBlockCanWrite(_ block: TCPControlBlock)
    /// The connection is gone. Nothing else follows.
    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError)
}

/// The transmission control block of RFC 9293: one connection, opening, open or closing.
///
/// The stack holds it for as long as lwIP may call it.
package final class TCPControlBlock {
    struct ID: Hashable {
        var nic: NICID
        var local: TransportAddress
        var remote: TransportAddress
    }

    /// The most bytes to queue that can't be sent yet.
    private static let unsentLimit = 64 << 10

    private struct Events: OptionSet {
        let rawValue: UInt8
        static let opened = Events(rawValue: 1)
        static let canRead = Events(rawValue: 2)
        static let canWrite = Events(rawValue: 4)
        static let failed = Events(rawValue: 8)
    }

    let id: ID
    private unowned let nic: NetworkInterface
    /// Whether the peer dialled.
    let isPassive: Bool
    package var local: TransportAddress { id.local }
    package var remote: TransportAddress { id.remote }
    package let stack: StackCore

    /// lwIP's connection, until it is freed or in TIME-WAIT.
    private(set) var pcb: UnsafeMutablePointer<tcp_pcb>?
    /// Whether its user is done with it: lwIP sees it through by itself.
    private(set) var isReleased = false
    /// Whether the stack has it among those that lwIP's timers are run for, and where among those kept alive.
    var isTimed = false
    var keepAliveIndex: Int?
    /// Whether it waits for the link to take a segment.
    var isRefused = false
    /// The longest data the peer takes in a segment, and a packet of the NIC holds.
    private(set) var maximumSegmentSize: UInt16
    private var isSetUp = false
    private let started: NIODeadline
    private var challenges = RateLimit()
    private var receiveWindow = TransferWindow(Int(UInt16.max), roundTrip: nil)
    private var sendBuffer = TransferWindow(Int(UInt16.max), roundTrip: nil)
    /// Told once, when the handshake is complete or has failed.
    var opened: ((Result<Void, NetstackError>) -> Void)?
    package private(set) var failure: NetstackError?
    /// Bytes that have arrived in order and have not been read.
    private var received: Deque<ByteBuffer> = []
    private var receivedByteCount = 0
    /// Whether the peer has closed its direction. What it sent before may still be unread.
    package private(set) var peerFinished = false
    private var writeClosed = false
    private var handshakeDone = false
    private var waitsForRoom = false
    private var events: Events = []

    /// Events that came before there was a delegate are told now.
    package weak var delegate: (any TCPControlBlockDelegate)? {
        didSet { if !events.isEmpty { stack.touch(self) } }
    }

    /// Takes over a pcb that belongs to the current instance. Called inside the library.
    init(_ pcb: UnsafeMutablePointer<tcp_pcb>, id: ID, on nic: NetworkInterface, stack: StackCore) {
        self.pcb = pcb
        self.id = id
        self.nic = nic
        let remote = id.remote.address
        maximumSegmentSize = TCPHeader.maximumSegmentSize(remote.version, mtu: nic.mtu(to: remote))
        self.stack = stack
        started = stack.eventLoop.now
        isPassive = pcb.pointee.state == SYN_RCVD
        // A dialler that vanishes must not be waited for for ever (RFC 1122 section 4.2.3.6).
        if isPassive { clwip_tcp_keepalive_enable(pcb) }
        clwip_tcp_nagle_disable(pcb)
        // The pointer stays good: the stack holds this object until the pcb is gone.
        tcp_arg(pcb, Unmanaged.passUnretained(self).toOpaque())
        tcp_recv(pcb) { argument, _, packet, _ in
            TCPControlBlock.with(argument) { $0.libraryReceived(packet) }
            return err_t(ERR_OK.rawValue)
        }
        tcp_sent(pcb) { argument, _, count in
            TCPControlBlock.with(argument) { $0.librarySent(Int(count)) }
            return err_t(ERR_OK.rawValue)
        }
        tcp_err(pcb) { argument, error in
            TCPControlBlock.with(argument) { $0.libraryFailed(error) }
        }
    }

    private static func with(_ argument: UnsafeMutableRawPointer?, _ body: (TCPControlBlock) -> Void) {
        guard let argument else { return }
        // Retained for the call: what it does may make the stack let go of the block.
        body(Unmanaged<TCPControlBlock>.fromOpaque(argument).takeUnretainedValue())
    }

    // MARK: Called by the library

    func libraryOpened() {
        guard let pcb else { return }
        if isHalfOpen { stack.halfOpen.remove(remote.address) }
        handshakeDone = true
        let elapsed = stack.eventLoop.now - started
        let roundTrip = Duration(elapsed)
        sendBuffer = TransferWindow(TransferWindow.initial, roundTrip: roundTrip)
        if clwip_tcp_set_window(pcb, StackCore.windowScale, UInt32(TransferWindow.initial)) != 0 {
            receiveWindow = TransferWindow(TransferWindow.initial, roundTrip: roundTrip)
        }
        clwip_tcp_set_round_trip(pcb, UInt16(clamping: min(elapsed.nanoseconds / TCPTimers.tick.nanoseconds, 1000)))
        note(.opened)
    }

    /// What lwIP would still change after `libraryOpened`.
    private func setUp(_ pcb: UnsafeMutablePointer<tcp_pcb>) {
        isSetUp = true
        clwip_tcp_set_mss(pcb, maximumSegmentSize)
        pcb.pointee.snd_buf += UInt32(TransferWindow.initial - Int(TCP_SND_BUF))
    }

    /// Whether what forges segments may be answered once more: ten times in five seconds (RFC 5961 section 7).
    func mayChallenge() -> Bool {
        challenges.allows(at: stack.eventLoop.now, burst: 10, every: .milliseconds(500))
    }

    /// The peer's SYN has said how long its segments may be (RFC 9293 section 3.7.1).
    func peerAnnounced(_ syn: TCPHeader) {
        let standard: UInt16 = remote.address.version == .v4 ? 536 : 1220
        // Shorter ones would make many packets of little data.
        maximumSegmentSize = min(maximumSegmentSize, max(syn.maximumSegmentSize ?? standard, 64))
    }

    /// Packets longer than this have been found not to get through: cuts segments accordingly, and sends them again.
    func pathTakes(_ mtu: Int) {
        let length = TCPHeader.maximumSegmentSize(remote.address.version, mtu: mtu)
        guard length < maximumSegmentSize else { return }
        maximumSegmentSize = length
        stack.enter(self) { tcp_rexmit_rto($0) }
    }

    private func libraryReceived(_ packet: UnsafeMutablePointer<pbuf>?) {
        guard let packet else {
            peerFinished = true
            note(.canRead)
            // With both directions finished, lwIP sees the rest through and frees the pcb without a word.
            if writeClosed { release() }
            return
        }
        if let loan = stack.takeLoan(packet) {
            append(loan)
        } else {
            var bytes = ByteBuffer()
            bytes.reserveCapacity(Int(packet.pointee.tot_len))
            packet.writeBytes(to: &bytes)
            append(bytes)
        }
        pbuf_free(packet)
        note(.canRead)
    }

    /// Small pieces are gathered, so that a sender of single bytes costs no more memory than others.
    private func append(_ bytes: ByteBuffer) {
        receivedByteCount += bytes.readableBytes
        if let last = received.indices.last, received[last].readableBytes + bytes.readableBytes <= 1 << 14 {
            received[last].writeImmutableBuffer(bytes)
        } else {
            received.append(bytes)
        }
    }

    private func librarySent(_ count: Int) {
        guard let pcb else { return }
        pcb.pointee.snd_buf += UInt32(sendBuffer.use(count, budget: &stack.windowBudget))
    }

    /// The pcb is already freed.
    private func libraryFailed(_ error: err_t) {
        // LAST-ACK has been acknowledged: a close in good order.
        if Int(error) == Int(ERR_CLSD.rawValue) { return }
        if Int(error) == Int(ERR_RST.rawValue) {
            record(handshakeDone ? .connectionReset : .refused(remote))
        } else {
            record(.timedOut(remote))
        }
    }

    // MARK: State

    /// The connection as a value that may leave the event loop.
    package var bound: NIOLoopBound<TCPControlBlock> { NIOLoopBound(self, eventLoop: stack.eventLoop) }
    /// Whether the handshake is under way: ours, or one the peer has begun.
    var isOpening: Bool { pcb != nil && !handshakeDone && !isReleased }
    /// Whether the peer has begun the handshake and not finished it.
    var isHalfOpen: Bool { !handshakeDone && isPassive }

    /// Whether the timers look at it for the sake of keep-alive.
    var isKeptAlive: Bool { keepsAlive && handshakeDone && !isReleased }

    /// Whether `sequence` is among what has been sent and not acknowledged.
    func hasInFlight(_ sequence: UInt32) -> Bool { pcb.map { clwip_tcp_in_flight($0, sequence) != 0 } ?? false }

    // MARK: Options

    /// Whether a peer that falls silent is asked whether it is still there (RFC 9293 section 3.8.4).
    package var keepsAlive: Bool {
        get { pcb.map { clwip_tcp_keepalive_enabled($0) != 0 } ?? false }
        set { stack.enter(self) { newValue ? clwip_tcp_keepalive_enable($0) : clwip_tcp_keepalive_disable($0) } }
    }

    /// Whether small segments are sent at once, without Nagle's algorithm (RFC 9293 section 3.7.4).
    package var sendsAtOnce: Bool {
        get { pcb.map { clwip_tcp_nagle_disabled($0) != 0 } ?? true }
        set { stack.enter(self) { newValue ? clwip_tcp_nagle_disable($0) : clwip_tcp_nagle_enable($0) } }
    }

    // MARK: Reading

    /// Whether everything the peer sent has been read, and its end seen.
    package var isFinished: Bool { peerFinished && received.isEmpty }
    /// Whether a read would not have to wait: for bytes, or the end.
    package var canRead: Bool { !received.isEmpty || peerFinished }

    /// Takes some of what has arrived, up to `limit` bytes, and opens the window by as much.
    package func read(upTo limit: Int = .max) -> ByteBuffer? {
        guard limit > 0, var bytes = received.popFirst() else { return nil }
        if bytes.readableBytes > limit, let head = bytes.readSlice(length: limit) {
            received.prepend(bytes)
            bytes = head
        }
        receivedByteCount -= bytes.readableBytes
        openWindow(by: bytes.readableBytes)
        return bytes
    }

    private func openWindow(by count: Int) {
        let growth = receiveWindow.use(count, budget: &stack.windowBudget)
        stack.enter(self) { clwip_tcp_open_window($0, UInt32(count + growth), UInt32(receiveWindow.limit)) }
    }

    // MARK: Writing

    /// Queues as much as there is room for; the rest stays in `bytes`, and the delegate hears when there is more room.
    ///
    /// - Parameter more: whether another write follows at once, so that the two may share a packet.
    package func write(_ bytes: inout ByteBuffer, more: Bool = false) throws(NetstackError) {
        if let failure { throw failure }
        guard pcb != nil, !isReleased, !writeClosed else { throw .closed }
        let code = stack.enter(self) { pcb in
            let segment = clwip_tcp_segment_length(pcb)
            // Whole segments, while there is more.
            let most = Int(UInt16.max) / Int(segment) * Int(segment)
            var code = err_t(ERR_OK.rawValue)
            while code == 0, bytes.readableBytes > 0 {
                if nic.isFull { break }
                if room(pcb) == 0 { tcp_output(pcb) }
                let count = min(room(pcb), bytes.readableBytes, most)
                if count == 0 { break }
                code = bytes.withUnsafeReadableBytes { clwip_tcp_write(pcb, $0.baseAddress, UInt16(count), segment) }
                if code == 0 { bytes.moveReaderIndex(forwardBy: count) }
                if bytes.readableBytes > 0 { tcp_output(pcb) }
            }
            if !more || bytes.readableBytes > 0 { tcp_output(pcb) }
            return code
        }
        waitsForRoom = bytes.readableBytes > 0
        if waitsForRoom, nic.isFull { nic.enqueue(self) }
        switch code {
        case nil, err_t(ERR_OK.rawValue), err_t(ERR_MEM.rawValue): break
        case let code?: throw .library(operation: "a write", code: Int(code))
        }
    }

    /// How many bytes may be queued: what the send buffer takes, and little more than can be sent. What waits for the link
    /// or the peer had better wait with the writer.
    private func room(_ pcb: UnsafeMutablePointer<tcp_pcb>) -> Int {
        let unsent = Int(pcb.pointee.snd_lbb &- pcb.pointee.snd_nxt)
        return max(0, min(Int(pcb.pointee.snd_buf), Self.unsentLimit - unsent))
    }

    /// Half-closes: the peer reads the end after everything written so far. Reading goes on.
    package func closeWrite() {
        guard pcb != nil, !isReleased, !writeClosed else { return }
        writeClosed = true
        stack.enter(self) { _ = tcp_shutdown($0, 0, 1) }
        if peerFinished, let pcb, pcb.pointee.state != LAST_ACK { release() }
    }

    // MARK: Ending

    /// Closes both directions. What has been written is still delivered; what has not been read is lost.
    package func close() {
        guard pcb != nil, !isReleased else { return }
        received.removeAll()
        release()
        // Left with a window that is not whole, lwIP would send a reset in place of the FIN.
        stack.enter(self) {
            clwip_tcp_restore_window($0)
            _ = tcp_close($0)
        }
        record(.closed)
    }

    /// Ends the connection at once, and tells the peer by a reset.
    package func reset() {
        if !isReleased { end(.closed, tellPeer: true) }
    }

    /// Lets go of a connection that its user has: one closed in both directions is left to deliver what was written.
    func abandon() {
        if writeClosed, peerFinished { close() } else { reset() }
    }

    func end(_ error: NetstackError, tellPeer: Bool) {
        if pcb != nil {
            if !isReleased { release() }
            stack.enter(self) { tcp_abandon($0, tellPeer ? 1 : 0) }
        }
        record(error)
    }

    /// Leaves the pcb to lwIP, which calls back no more.
    private func release() {
        guard let pcb else { return }
        tcp_recv(pcb, nil)
        tcp_sent(pcb, nil)
        tcp_err(pcb, nil)
        isReleased = true
        stack.released(self)
    }

    /// Called after each time that lwIP has had the connection: `pcb` is what it has left of it.
    ///
    /// - Returns: whether it is still open, opening or closing.
    func libraryLeft(_ left: UnsafeMutablePointer<tcp_pcb>?) -> Bool {
        if let left, left.pointee.state != TIME_WAIT {
            if handshakeDone, !isSetUp { setUp(left) }
            // Waking a writer for every acknowledgment would cut its data into small writes.
            if waitsForRoom, room(left) >= Self.unsentLimit / 2 {
                if nic.isFull { nic.enqueue(self) } else { note(.canWrite) }
            }
            return true
        }
        pcb = nil
        stack.windowBudget += receiveWindow.excess + sendBuffer.excess
        return false
    }

    private func record(_ error: NetstackError) {
        guard failure == nil else { return }
        failure = error
        note(.failed)
    }

    // MARK: Telling

    private func note(_ event: Events) {
        if events.isEmpty { stack.touch(self) }
        events.insert(event)
    }

    /// Tells what has happened since the last time. Called outside of the library.
    func deliver() {
        if events.contains(.opened), let opened {
            self.opened = nil
            opened(.success(()))
        }
        if events.contains(.failed), let opened, let failure {
            self.opened = nil
            opened(.failure(failure))
        }
        events.remove(.opened)
        guard let delegate else { return }
        let events = events
        self.events = []
        if events.contains(.canRead) { delegate.controlBlockCanRead(self) }
        if events.contains(.canWrite), waitsForRoom { delegate.controlBlockCanWrite(self) }
        if events.contains(.failed), let failure { delegate.controlBlockFailed(self, failure) }
    }
}

extension UnsafeMutablePointer<pbuf> {
    /// Copies the bytes of a chain.
    fileprivate func writeBytes(to buffer: inout ByteBuffer) {
        var part: UnsafeMutablePointer<pbuf>? = self
        while let current = part {
            buffer.writeBytes(UnsafeRawBufferPointer(start: current.pointee.payload, count: Int(current.pointee.len)))
            part = current.pointee.next
        }
    }
}
