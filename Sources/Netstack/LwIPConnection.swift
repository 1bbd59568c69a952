// A connection of lwIP's: its pcb, what it has received, and its windows.

import CLwIP
import DequeModule
import NIOCore
import NetstackCore

/// lwIP's part of a control block, which holds it. lwIP has a pointer to it for as long as there is a pcb.
final class LwIPConnection: TCPTransport {
    /// lwIP's connection, until it is freed or in TIME-WAIT.
    private(set) var pcb: UnsafeMutablePointer<tcp_pcb>?
    /// There for as long as `pcb` is. Counting references here and to the engine would cost a round trip 2 %.
    private unowned(unsafe) var owner: TCPControlBlock?
    var block: TCPControlBlock? { pcb == nil ? nil : owner }
    /// There for as long as a block is, which holds its stack.
    private unowned(unsafe) let engine: LwIPEngine
    let interface: LwIPInterface
    /// Whether the engine has it among those that lwIP's timers are run for, and where among those kept alive.
    var isTimed = false
    var keepAliveIndex: Int?
    /// The longest data the peer takes in a segment, and a packet of the NIC holds.
    private(set) var maximumSegmentSize: UInt16
    private var isSetUp = false
    private(set) var peerFinished = false
    private let started: NIODeadline
    private var challenges = RateLimit()
    private var receiveWindow = TransferWindow(Int(UInt16.max), roundTrip: nil)
    private var sendBuffer = TransferWindow(Int(UInt16.max), roundTrip: nil)
    /// Bytes that have arrived in order and have not been read.
    private var received: Deque<ByteBuffer> = []

    /// Takes over a pcb of the instance that is in the library.
    init(_ pcb: UnsafeMutablePointer<tcp_pcb>, to remote: IPAddress, on interface: LwIPInterface, engine: LwIPEngine) {
        self.pcb = pcb
        self.interface = interface
        self.engine = engine
        let mtu = interface.nic.mtu(to: remote)
        maximumSegmentSize = TCPHeader.maximumSegmentSize(remote.version, mtu: mtu)
        started = engine.now
        // A dialler that vanishes must not be waited for for ever (RFC 1122 section 4.2.3.6).
        if pcb.pointee.state == SYN_RCVD { clwip_tcp_keepalive_enable(pcb) }
        clwip_tcp_nagle_disable(pcb)
        tcp_arg(pcb, Unmanaged.passUnretained(self).toOpaque())
        tcp_recv(pcb) { argument, _, packet, _ in
            LwIPConnection.with(argument) { $0.libraryReceived(packet, for: $1) }
            return err_t(ERR_OK.rawValue)
        }
        tcp_sent(pcb) { argument, _, count in
            LwIPConnection.with(argument) { connection, _ in connection.librarySent(Int(count)) }
            return err_t(ERR_OK.rawValue)
        }
        tcp_err(pcb) { argument, error in
            LwIPConnection.with(argument) { $0.libraryFailed(error, of: $1) }
        }
    }

    // MARK: Called by the library

    private static func with(
        _ argument: UnsafeMutableRawPointer?, _ body: (LwIPConnection, TCPControlBlock) -> Void
    ) {
        guard let argument else { return }
        // Both are retained for the call: what it does may make the stack let go of the block.
        let connection = Unmanaged<LwIPConnection>.fromOpaque(argument).takeUnretainedValue()
        if let block = connection.block { body(connection, block) }
    }

    /// The handshake of the connection that `argument` stands for is complete.
    static func opened(_ argument: UnsafeMutableRawPointer?) {
        with(argument) { $0.libraryOpened($1) }
    }

    private func libraryOpened(_ block: TCPControlBlock) {
        guard let pcb else { return }
        let elapsed = engine.now - started
        let roundTrip = Duration(elapsed)
        sendBuffer = TransferWindow(StackCore.initialWindow, roundTrip: roundTrip)
        if clwip_tcp_set_window(pcb, LwIPEngine.windowScale, UInt32(StackCore.initialWindow)) != 0 {
            receiveWindow = TransferWindow(StackCore.initialWindow, roundTrip: roundTrip)
        }
        clwip_tcp_set_round_trip(pcb, UInt16(clamping: min(elapsed.nanoseconds / TCPTimers.tick.nanoseconds, 1000)))
        block.becameEstablished()
    }

    /// What lwIP would still change after `libraryOpened`.
    private func setUp(_ pcb: UnsafeMutablePointer<tcp_pcb>) {
        isSetUp = true
        clwip_tcp_set_mss(pcb, maximumSegmentSize)
        pcb.pointee.snd_buf += UInt32(StackCore.initialWindow - Int(TCP_SND_BUF))
    }

    private func libraryReceived(_ packet: UnsafeMutablePointer<pbuf>?, for block: TCPControlBlock) {
        guard let packet else {
            peerFinished = true
            block.becameReadable()
            // With both directions finished, lwIP sees the rest through and frees the pcb without a word.
            if block.writeClosed { release(block) }
            return
        }
        if let loan = engine.takeLoan(packet) {
            append(loan)
        } else {
            append(packet.bytes(from: 0))
        }
        pbuf_free(packet)
        block.becameReadable()
    }

    /// Small pieces are gathered, so that a sender of single bytes costs no more memory than others.
    private func append(_ bytes: ByteBuffer) {
        if received.isEmpty || !received[received.count - 1].gather(bytes) { received.append(bytes) }
    }

    private func librarySent(_ count: Int) {
        guard let pcb else { return }
        pcb.pointee.snd_buf += UInt32(used(count, of: &sendBuffer))
    }

    /// The pcb is already freed.
    private func libraryFailed(_ error: err_t, of block: TCPControlBlock) {
        // LAST-ACK has been acknowledged: a close in good order.
        if Int(error) == Int(ERR_CLSD.rawValue) { return }
        if Int(error) == Int(ERR_RST.rawValue) {
            block.failed(block.isEstablished ? .connectionReset : .refused(block.remote))
        } else {
            block.failed(.timedOut(block.remote))
        }
    }

    // MARK: Called by the engine

    /// The connection becomes a block's. Called once.
    func belongs(to block: TCPControlBlock) { owner = block }

    /// Whether what forges segments may be answered once more: ten times in five seconds (RFC 5961 section 7).
    func mayChallenge() -> Bool {
        challenges.allows(at: engine.now, burst: 10, every: .milliseconds(500))
    }

    /// The peer's SYN has said how long its segments may be (RFC 9293 section 3.7.1).
    func peerAnnounced(_ syn: TCPHeader, _ version: IPVersion) {
        let standard: UInt16 = version == .v4 ? 536 : 1220
        // Shorter ones would make many packets of little data.
        maximumSegmentSize = min(maximumSegmentSize, max(syn.maximumSegmentSize ?? standard, 64))
    }

    /// Gives back memory that nothing lies in: among very many connections most are idle.
    func shrink() { if received.isEmpty { received = [] } }

    /// Whether the timers look at it for the sake of keep-alive.
    var isKeptAlive: Bool {
        guard keepsAlive, let block else { return false }
        return block.isEstablished && !block.isReleased
    }

    /// Called after each time that lwIP has had the connection: `left` is what it has left of it.
    ///
    /// - Returns: whether it is still open, opening or closing.
    func libraryLeft(_ left: UnsafeMutablePointer<tcp_pcb>?, of block: TCPControlBlock) -> Bool {
        if let left, left.pointee.state != TIME_WAIT {
            if !isSetUp, block.isEstablished { setUp(left) }
            // Waking a writer for every acknowledgment would cut its data into small writes.
            if block.waitsForRoom, room(left) >= unsentLimit / 2 { block.gainedRoom() }
            return true
        }
        pcb = nil
        engine.windowBudget += receiveWindow.excess + sendBuffer.excess
        return false
    }

    // MARK: The library

    /// Runs `body` inside the library, with the connection in it; nil if that is gone.
    @discardableResult
    func enter<Result>(_ body: (UnsafeMutablePointer<tcp_pcb>) -> Result) -> Result? {
        guard let block else { return nil }
        let stack = block.stack
        stack.beginTurn()
        defer { stack.endTurn() }
        return engine.lend(self, of: block, body)
    }

    /// lwIP calls back no more.
    private func silence() {
        guard let pcb else { return }
        tcp_recv(pcb, nil)
        tcp_sent(pcb, nil)
        tcp_err(pcb, nil)
    }

    private func release(_ block: TCPControlBlock) {
        silence()
        block.release()
    }

    func linkDrained() { enter { _ = tcp_output($0) } }

    /// Cuts segments accordingly, and sends them again.
    func pathTakes(_ mtu: Int) {
        guard let block else { return }
        let length = TCPHeader.maximumSegmentSize(block.remote.address.version, mtu: mtu)
        guard length < maximumSegmentSize else { return }
        maximumSegmentSize = length
        enter { tcp_rexmit_rto($0) }
    }

    func hasInFlight(_ sequence: UInt32) -> Bool { pcb.map { clwip_tcp_in_flight($0, sequence) != 0 } ?? false }

    // MARK: Options

    var keepsAlive: Bool {
        get { pcb.map { clwip_tcp_keepalive_enabled($0) != 0 } ?? false }
        set { enter { newValue ? clwip_tcp_keepalive_enable($0) : clwip_tcp_keepalive_disable($0) } }
    }

    var sendsAtOnce: Bool {
        get { pcb.map { clwip_tcp_nagle_disabled($0) != 0 } ?? true }
        set { enter { newValue ? clwip_tcp_nagle_disable($0) : clwip_tcp_nagle_enable($0) } }
    }

    // MARK: Reading

    var hasBytes: Bool { !received.isEmpty }

    func read(upTo limit: Int) -> ByteBuffer? {
        guard var bytes = received.popFirst() else { return nil }
        if bytes.readableBytes > limit, let head = bytes.readSlice(length: limit) {
            received.prepend(bytes)
            bytes = head
        }
        openWindow(by: bytes.readableBytes)
        return bytes
    }

    private func openWindow(by count: Int) {
        guard pcb != nil else { return }
        let growth = used(count, of: &receiveWindow)
        enter { clwip_tcp_open_window($0, UInt32(count + growth), UInt32(receiveWindow.limit)) }
    }

    /// By how much one direction's window has grown with the use of `count` bytes.
    private func used(_ count: Int, of window: inout TransferWindow) -> Int {
        guard window.use(count), let block else { return 0 }
        // Half of the budget is for those whose round trips need it; the other half connections share evenly. With more, the
        // bytes leave a processor's cache on their way.
        let half = engine.windowBytes / 2
        let share = half / max(block.stack.openConnectionCount, 1)
        let worthwhile = engine.windowBudget > half ? min(StackCore.initialWindow + share, 1 << 20) : 0
        return window.grow(budget: &engine.windowBudget, worthwhile: worthwhile)
    }

    // MARK: Writing

    func write(_ bytes: inout ByteBuffer, more: Bool) throws(NetstackError) {
        let code = enter { pcb in
            let segment = clwip_tcp_segment_length(pcb)
            var code = err_t(ERR_OK.rawValue)
            while code == 0, bytes.readableBytes > 0 {
                if let block, !interface.nic.admits(writesOf: block, turnLength: 512 << 10) { break }
                var count = lengthOfPart(of: bytes, segment, pcb)
                if count == 0 {
                    tcp_output(pcb)
                    count = lengthOfPart(of: bytes, segment, pcb)
                }
                if count == 0 { break }
                code = queue(&bytes, count, segment, pcb)
                if code == 0 { block?.turnByteCount += count }
                if bytes.readableBytes > 0 { tcp_output(pcb) }
            }
            if !more || bytes.readableBytes > 0 { tcp_output(pcb) }
            return code
        }
        switch code {
        case nil, err_t(ERR_OK.rawValue), err_t(ERR_MEM.rawValue): break
        case let code?: throw .library(operation: "a write", code: Int(code))
        }
    }

    /// How many of `bytes` to queue next: whole packets, while there is more.
    private func lengthOfPart(of bytes: ByteBuffer, _ segment: UInt16, _ pcb: UnsafeMutablePointer<tcp_pcb>) -> Int {
        let count = min(room(pcb), bytes.readableBytes, Int(segment))
        let rest = count % Int(min(segment, maximumSegmentSize))
        guard count < bytes.readableBytes, rest > 0 else { return count }
        // Room comes with acknowledgments, if any are awaited.
        return count > rest || pcb.pointee.snd_lbb != pcb.pointee.lastack ? count - rest : count
    }

    /// Queues `count` bytes off the front of `bytes`.
    private func queue(
        _ bytes: inout ByteBuffer, _ count: Int, _ segment: UInt16, _ pcb: UnsafeMutablePointer<tcp_pcb>
    ) -> err_t {
        let code: err_t
        if count >= SharedBytes.minimumLength, let part = bytes.getSlice(at: bytes.readerIndex, length: count) {
            code = SharedBytes.queue(part, on: pcb)
        } else {
            code = bytes.withUnsafeReadableBytes {
                clwip_tcp_write(pcb, $0.baseAddress, UInt16(truncatingIfNeeded: count), segment)
            }
        }
        if code == err_t(ERR_OK.rawValue) { bytes.moveReaderIndex(forwardBy: count) }
        return code
    }

    /// The most bytes to queue that can't be sent yet: with half of it, there is room for a whole packet.
    private var unsentLimit: Int { max(64 << 10, 2 * Int(maximumSegmentSize)) }

    /// How many bytes may be queued: what the send buffer takes, and little more than can be sent. What waits for the link
    /// or the peer had better wait with the writer.
    private func room(_ pcb: UnsafeMutablePointer<tcp_pcb>) -> Int {
        // As many buffers as it takes in all.
        guard pcb.pointee.snd_queuelen <= 0xf000 else { return 0 }
        let unsent = Int(pcb.pointee.snd_lbb &- pcb.pointee.snd_nxt)
        return max(0, min(Int(pcb.pointee.snd_buf), unsentLimit - unsent))
    }

    // MARK: Ending

    func closeWrite() {
        enter { _ = tcp_shutdown($0, 0, 1) }
        if peerFinished, let pcb, pcb.pointee.state != LAST_ACK, let block { release(block) }
    }

    func close() {
        received.removeAll()
        silence()
        // Left with a window that is not whole, lwIP would send a reset in place of the FIN.
        enter {
            clwip_tcp_restore_window($0)
            _ = tcp_close($0)
        }
    }

    func abort(tellPeer: Bool) {
        silence()
        enter { pcb in
            // Both have closed, and the peer has all there is: RFC 9293 section 3.10.5 has no reset then, lwIP one.
            let isOver = pcb.pointee.state == CLOSING || pcb.pointee.state == LAST_ACK
            let isSent = pcb.pointee.snd_nxt == pcb.pointee.snd_lbb
            tcp_abandon(pcb, tellPeer && !(isOver && isSent) ? 1 : 0)
        }
    }
}

extension UnsafeMutablePointer<pbuf> {
    /// A copy of the bytes of a chain, from `offset` on.
    func bytes(from offset: Int) -> ByteBuffer {
        let count = max(0, Int(pointee.tot_len) - offset)
        var bytes = ByteBuffer()
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: count) {
            // Safe: there is room for `count` bytes.
            Int(
                pbuf_copy_partial(
                    self, $0.baseAddress,
                    UInt16(truncatingIfNeeded: count), UInt16(truncatingIfNeeded: offset)))
        }
        return bytes
    }
}
