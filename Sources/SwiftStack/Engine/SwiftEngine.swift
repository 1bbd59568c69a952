// TCP in Swift as that of one stack: its connections, their timers, and those in TIME-WAIT.

import DequeModule
import NIOCore
import NetstackCore

final class SwiftEngine: TCPEngine {
    /// Connections whose timers run before the event loop does something else: as many as take a tenth of a millisecond.
    private static let timerBatch = 64

    private let eventLoop: any EventLoop
    private let limits: Stack.Limits
    private let defaults: TCPConfiguration
    /// By IP version and longest segment.
    private var configurations: [IPVersion: [Int: TCPConfiguration.Shared]] = [:]
    let marks: SegmentWriter.Marks
    private let start: NIODeadline
    /// What others can't guess about initial sequence numbers (RFC 6528 section 3).
    private let secret: UInt64 = .random(in: 0...(.max))
    /// Connections that have had a call since the last `settle`, and may have something to send.
    private var touched: [SwiftConnection] = []
    /// An empty array whose memory `settle` uses again.
    private var spare: [SwiftConnection] = []
    private var wheel = TimerWheel<SwiftConnection>()
    /// Connections whose timers are due.
    private var due: [SwiftConnection] = []
    private var timeWait: [TCPControlBlock.ID: SwiftConnection] = [:]
    /// In the order in which they have come. Some have gone since.
    private var timeWaitOrder: Deque<SwiftConnection> = []
    /// Bytes by which the buffers of all connections have grown.
    private var grownByteCount = 0

    init(on eventLoop: any EventLoop, limits: Stack.Limits, _ settings: SwiftTCPSettings) {
        self.eventLoop = eventLoop
        self.limits = limits
        defaults = settings.configuration
        marks = settings.marks
        start = eventLoop.now
    }

    var now: NIODeadline { eventLoop.now }

    /// The buffers of a connection may grow to `maximum`, by `growth` at most.
    var roomForWindows: (maximum: Int, growth: Int) {
        let maximum = defaults.maximumReceiveWindow
        return (maximum, min(max(limits.windowBytes, grownByteCount) - grownByteCount, maximum))
    }

    /// The buffers of a connection have grown by so many bytes, or shrunk.
    func windowsGrew(by count: Int) { grownByteCount += count }

    // MARK: Turns

    func enter() {}

    func leave() {}

    /// What a turn has brought leaves at once, so that acknowledgments go with data, and small writes together.
    func settle() {
        while !touched.isEmpty {
            var connections = spare
            spare = []
            swap(&connections, &touched)
            for connection in connections {
                connection.isTouched = false
                transmit(connection)
            }
            connections.removeAll(keepingCapacity: true)
            spare = connections
        }
    }

    func touch(_ connection: SwiftConnection) {
        guard !connection.isTouched else { return }
        connection.isTouched = true
        touched.append(connection)
    }

    func transmit(_ connection: SwiftConnection) {
        guard isAlive(connection) else { return }
        connection.transmit(now: now)
        schedule(connection)
    }

    /// Whether it has neither been forgotten nor ended: its NIC may have gone with it, while it was still to be looked at.
    private func isAlive(_ connection: SwiftConnection) -> Bool {
        connection.block != nil || isInTimeWait(connection)
    }

    // MARK: NICs

    func add(_ nic: NetworkInterface) {}

    func remove(_ nic: NetworkInterface) {
        for connection in timeWait.values where connection.id.nic == nic.id { forget(connection) }
    }

    // MARK: Connections

    func connect(_ id: TCPControlBlock.ID, on nic: NetworkInterface) throws(NetstackError) -> TCPControlBlock {
        let machine = TCPStateMachine(
            connecting: configuration(of: id, on: nic), initialSequenceNumber: initialSequenceNumber(of: id),
            timestampOffset: timestampOffset(of: id), now: now)
        return open(machine, id, on: nic, isPassive: false)
    }

    func accept(_ syn: TCPForwardRequest) -> TCPControlBlock? {
        let run = TCPSegmentRun(syn.header, syn.tcp, at: 0..<syn.segment.readableBytes)
        var machine = TCPStateMachine(
            accepting: TCPSegment(run, of: syn.segment), configuration: configuration(of: syn.id, on: syn.nic),
            initialSequenceNumber: initialSequenceNumber(of: syn.id, after: syn.predecessorEnd),
            timestampOffset: timestampOffset(of: syn.id), now: now)
        // A dialler that vanishes must not be waited for for ever (RFC 1122 section 4.2.3.6).
        machine.setKeepsAlive(true, now: now)
        return open(machine, syn.id, on: syn.nic, isPassive: true)
    }

    private func open(
        _ machine: consuming TCPStateMachine, _ id: TCPControlBlock.ID, on nic: NetworkInterface, isPassive: Bool
    ) -> TCPControlBlock {
        let connection = SwiftConnection(machine, id, on: nic, engine: self)
        let block = TCPControlBlock(id, on: nic, isPassive: isPassive, transport: connection)
        connection.block = block
        touch(connection)
        return block
    }

    private func configuration(of id: TCPControlBlock.ID, on nic: NetworkInterface) -> TCPConfiguration.Shared {
        let version = id.remote.address.version
        let size = Int(nic.maximumSegmentSize(version))
        if let shared = configurations[version]?[size] { return shared }
        var configuration = defaults
        configuration.maximumSegmentSize = size
        if version == .v6 { configuration.defaultMaximumSegmentSize = 1220 }
        let shared = TCPConfiguration.Shared(configuration)
        configurations[version, default: [:]][size] = shared
        return shared
    }

    /// RFC 6528 section 3: a clock, and a keyed hash of the connection. A step every 64 ns: the numbers of successive
    /// connections of the same four grow for over two minutes; where one has sent faster than that, from its last number on.
    private func initialSequenceNumber(of id: TCPControlBlock.ID, after last: UInt32? = nil) -> TCPSequenceNumber {
        let number = TCPSequenceNumber(hash(id, 0) &+ UInt32(truncatingIfNeeded: now.uptimeNanoseconds >> 6))
        guard let last = last.map(TCPSequenceNumber.init), number <= last else { return number }
        return last + 1 + Int(hash(id, 2) & 0xffff)
    }

    /// RFC 7323 section 5.4: clocks of connections tell nothing of each other.
    private func timestampOffset(of id: TCPControlBlock.ID) -> UInt32 { hash(id, 1) }

    /// SipHash, with keys of the process and of the engine.
    private func hash(_ id: TCPControlBlock.ID, _ use: UInt8) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(secret)
        hasher.combine(use)
        hasher.combine(id)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    /// Nothing is left of a connection but perhaps TIME-WAIT.
    func ended(_ connection: SwiftConnection, leaving rest: SwiftConnection?) {
        if rest !== connection { wheel.remove(connection) }
        guard let rest else { return }
        timeWait[rest.id] = rest
        timeWaitOrder.append(rest)
        touch(rest)
        while timeWait.count > limits.closedConnections, let oldest = timeWaitOrder.popFirst() { forget(oldest) }
    }

    // MARK: Segments

    func receive(
        _ run: TCPSegmentRun, of batch: ByteBuffer, for block: TCPControlBlock?, on nic: NetworkInterface
    ) {
        guard let connection = block?.swift ?? timeWait[run.connection(on: nic)] else {
            nic.statistics.drop(.noConnection, count: run.count)
            return nic.send { try? run.tcp.writeReset(answering: run.ip, to: &$0) }
        }
        connection.receive(TCPSegment(run, of: batch), now: now)
    }

    // MARK: TIME-WAIT

    func isInTimeWait(_ id: TCPControlBlock.ID) -> Bool { timeWait[id] != nil }

    private func isInTimeWait(_ connection: SwiftConnection) -> Bool { timeWait[connection.id] === connection }

    func yieldTimeWait(to syn: TCPForwardRequest) -> Bool {
        guard let old = timeWait[syn.id] else { return true }
        let run = TCPSegmentRun(syn.header, syn.tcp, at: 0..<syn.segment.readableBytes)
        guard old.machine.mayBeSucceeded(by: TCPSegment(run, of: syn.segment)) else { return false }
        syn.predecessorEnd = old.machine.sendNext.rawValue
        forget(old)
        return true
    }

    /// Ends TIME-WAIT.
    func forget(_ connection: SwiftConnection) {
        wheel.remove(connection)
        if isInTimeWait(connection) { timeWait[connection.id] = nil }
        while let first = timeWaitOrder.first, !isInTimeWait(first) { timeWaitOrder.removeFirst() }
        // One whose peer sends its FIN again and again stays, and must not hold on to those behind it.
        if timeWaitOrder.count > 2 * timeWait.count + 64 { timeWaitOrder.removeAll { !isInTimeWait($0) } }
    }

    // MARK: Time

    private func tick(_ deadline: NIODeadline) -> UInt64 {
        // To the end of the millisecond: never early.
        UInt64(clamping: ((deadline - start).nanoseconds + 999_999) / 1_000_000)
    }

    /// What is due earlier than before moves on the wheel; what is due later is found to be when it is taken out.
    private func schedule(_ connection: SwiftConnection) {
        guard let deadline = connection.machine.nextDeadline else { return }
        let tick = tick(deadline)
        if let place = connection.timer, place.tick <= tick { return }
        wheel.insert(connection, at: tick)
    }

    var nextDeadline: NIODeadline {
        guard due.isEmpty else { return .distantPast }
        return wheel.next.map { start + .milliseconds(Int64(clamping: $0)) } ?? .distantFuture
    }

    func timersDue(now: NIODeadline) {
        if due.isEmpty {
            wheel.takeDue(until: UInt64(clamping: (now - start).nanoseconds / 1_000_000), into: &due)
        }
        let batch = due.suffix(Self.timerBatch)
        due.removeLast(batch.count)
        for connection in batch where isAlive(connection) {
            connection.timersDue(now: now)
            schedule(connection)
        }
    }
}

extension TCPControlBlock {
    /// The blocks of a stack over this TCP are all of its engine's making.
    fileprivate var swift: SwiftConnection { unsafeDowncast(transport, to: SwiftConnection.self) }
}
