// A connection of TCP in Swift: its state machine, and what it tells the control block.

import NIOCore
import NetstackCore

/// The state machine's part of a control block, which holds it.
final class SwiftConnection: TCPTransport, TimerWheelEntry {
    private(set) var machine: TCPStateMachine
    let id: TCPControlBlock.ID
    /// There until the connection has ended.
    unowned var block: TCPControlBlock?
    private unowned let nic: NetworkInterface
    /// It is what holds the connection, or a block does, and with it the stack. Counting references here would cost a round
    /// trip 1 %.
    private unowned(unsafe) let engine: SwiftEngine
    /// Whether the engine has it among those that may have something to send.
    var isTouched = false
    /// Where it lies on the engine's timer wheel.
    var timer: TimerPlace?
    /// By how many bytes its buffers have grown, as the engine knows.
    private var growth = 0

    init(_ machine: consuming TCPStateMachine, _ id: TCPControlBlock.ID, on nic: NetworkInterface, engine: SwiftEngine)
    {
        self.machine = machine
        self.id = id
        self.nic = nic
        self.engine = engine
    }

    // MARK: Called by the engine

    func receive(_ segment: TCPSegment, now: NIODeadline) {
        machine.receive(segment, now: now)
        if let reason = machine.drop { nic.statistics.drop(reason, count: segment.count) }
        tell()
    }

    func timersDue(now: NIODeadline) {
        // Some time after something was sent or received, and not for each.
        machine.shrink()
        guard let deadline = machine.nextDeadline, deadline <= now else { return }
        machine.timersDue(now: now)
        tell()
    }

    /// Sends what there is to send, as far as the link takes it.
    func transmit(now: NIODeadline) {
        let (nic, block, id, marks) = (nic, block, id, engine.marks)
        machine.transmit(now: now) { segment, payload in
            guard nic.admits(dataCount: segment.payloadLength) else {
                if let block { nic.enqueue(block) }
                return false
            }
            SegmentWriter.send(segment, payload, of: id, marks, on: nic)
            return true
        }
    }

    /// Tells what a call of the machine has brought.
    private func tell() {
        engine.touch(self)
        let events = machine.takeEvents()
        guard let block else {
            if machine.state == .closed { engine.forget(self) }
            return
        }
        noteGrowth(machine.growth)
        if events.contains(.opened) { opened(block) }
        if events.contains(.canRead) { block.becameReadable() }
        // With both directions finished, TCP sees the rest through by itself; but where the peer was first, the four-tuple is
        // in use until it has acknowledged that.
        if block.writeClosed, machine.peerFinished, machine.state != .lastAck, machine.state != .closed {
            block.release()
        }
        if block.waitsForRoom {
            limitBuffers(of: block)
            engine.transmit(self)
            if room >= unsentLimit / 2 { block.gainedRoom() }
        }
        guard machine.state == .closed || machine.state == .timeWait else { return }
        // A reset still leaves.
        engine.transmit(self)
        if let failure = machine.failure, !block.isReleased { block.failed(NetstackError(failure, of: id.remote)) }
        self.block = nil
        noteGrowth(0)
        engine.ended(self, leaving: machine.state == .timeWait ? makeTimeWait() : nil)
        block.ended()
    }

    private func opened(_ block: TCPControlBlock) {
        // What is known of the path may be less than what the NIC takes, which the SYN has announced.
        let mtu = nic.mtu(to: id.remote.address)
        if mtu < nic.mtu { machine.pathTakes(maximumSegmentSize: segmentSize(mtu), now: engine.now) }
        limitBuffers(of: block)
        block.becameEstablished()
    }

    /// What TIME-WAIT holds for two minutes: not what its user may never read.
    private func makeTimeWait() -> SwiftConnection {
        guard machine.readableBytes > 0 else { return self }
        return SwiftConnection(machine.splitTimeWait(now: engine.now), id, on: nic, engine: engine)
    }

    /// Before buffers may grow: by what the stack has left.
    private func limitBuffers(of block: TCPControlBlock) {
        let room = engine.roomForWindows
        // Together, connections that share a link need no more than it takes; with more, some would have much less of it than
        // others.
        let worthwhile = StackCore.initialWindow + (768 << 10) / max(block.stack.openConnectionCount, 1)
        machine.limitBuffers(to: room.maximum, growth: room.growth, worthwhile: worthwhile)
    }

    /// After they may have.
    private func noteGrowth(_ growth: Int) {
        guard growth != self.growth else { return }
        engine.windowsGrew(by: growth - self.growth)
        self.growth = growth
    }

    private func segmentSize(_ mtu: Int) -> Int {
        Int(TCPHeader.maximumSegmentSize(id.remote.address.version, mtu: mtu))
    }

    // MARK: Called by the control block

    /// Runs `body` in a turn of the stack, which ends with what it has to send.
    private func turn(_ body: (inout TCPStateMachine) -> Void) {
        guard let block else { return body(&machine) }
        let stack = block.stack
        stack.beginTurn()
        body(&machine)
        tell()
        stack.endTurn()
    }

    func linkDrained() {
        // Its writer goes on in the same turn, if it is that which waits.
        turn { _ in }
    }

    func pathTakes(_ mtu: Int) {
        let (size, now) = (segmentSize(mtu), engine.now)
        turn { $0.pathTakes(maximumSegmentSize: size, now: now) }
    }

    func hasInFlight(_ sequence: UInt32) -> Bool { machine.hasInFlight(TCPSequenceNumber(sequence)) }

    var keepsAlive: Bool {
        get { machine.keepsAlive }
        set {
            let now = engine.now
            turn { $0.setKeepsAlive(newValue, now: now) }
        }
    }

    var sendsAtOnce: Bool {
        get { machine.sendsAtOnce }
        set { turn { $0.sendsAtOnce = newValue } }
    }

    // MARK: Reading

    var hasBytes: Bool { machine.readableBytes > 0 }
    var peerFinished: Bool { machine.peerFinished }

    func read(upTo limit: Int) -> ByteBuffer? {
        var bytes: ByteBuffer?
        let now = engine.now
        if let block { limitBuffers(of: block) }
        turn { bytes = $0.read(upTo: limit, now: now) }
        return bytes
    }

    // MARK: Writing

    /// The most bytes to queue that can't be sent yet. What is copied had better stay in a processor's cache; and with less
    /// than two segments, one could wait for the rest of it, and the writer for room.
    private var unsentLimit: Int {
        max(nic.carriesSegments ? 256 << 10 : 64 << 10, 2 * machine.sendMaximumSegmentSize)
    }

    /// Bytes that it writes at a time while others wait for the link. Longer turns would leave some behind.
    private var turnLength: Int { max(unsentLimit, 128 << 10) }

    /// How many bytes may be queued: what the send buffer takes, and little more than can be sent. What waits for the link
    /// or the peer had better wait with the writer.
    private var room: Int { min(machine.sendRoom, unsentLimit - machine.unsentLength) }

    func write(_ bytes: inout ByteBuffer, more: Bool) throws(NetstackError) {
        guard let block else { return }
        let (stack, now) = (block.stack, engine.now)
        stack.beginTurn()
        limitBuffers(of: block)
        while bytes.readableBytes > 0, nic.admits(writesOf: block, turnLength: turnLength) {
            let room = room
            guard room > 0 else { break }
            let count = bytes.readableBytes
            machine.write(&bytes, upTo: room, more: more || count > room, now: now)
            block.turnByteCount += count - bytes.readableBytes
            // What is left after the last leaves at the end of the turn, with what others write.
            if bytes.readableBytes > 0 { engine.transmit(self) }
        }
        engine.touch(self)
        noteGrowth(machine.growth)
        stack.endTurn()
    }

    // MARK: Ending

    func closeWrite() {
        let now = engine.now
        turn { $0.closeWrite(now: now) }
    }

    func close() {
        let now = engine.now
        turn {
            // A reset for what has not been read would take what has been written with it.
            while $0.read(upTo: .max, now: now) != nil {}
            $0.close(now: now)
        }
    }

    func abort(tellPeer: Bool) {
        let now = engine.now
        turn {
            $0.abort(now: now)
            if !tellPeer { $0.forgetReset() }
        }
    }
}

extension NetstackError {
    fileprivate init(_ failure: TCPStateMachine.Failure, of peer: TransportAddress) {
        switch failure {
        case .reset: self = .connectionReset
        case .refused: self = .refused(peer)
        case .timedOut: self = .timedOut(peer)
        }
    }
}
