// One connection of the stack that is fuzzed: what its peer knows of it, and what its user has seen.

import NIOCore
import Netstack

/// What the user of a connection does about it without being told to.
enum Habit: Int, CaseIterable {
    /// Accepted, and read as data arrive; closed when the peer has closed.
    case reads
    /// Accepted, and left to the script.
    case waits
    /// Taken by a listener, and never read.
    case listens
    /// Dialled by the stack.
    case dials
    /// Decided by the script.
    case holds
    case refuses, rejects, drops
}

/// The bytes of both directions are functions of where they stand, so that each that is lost, moved or made up shows.
private func byte(at position: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: position &* 0x9e37_79b1 >> 24) }

func bytes(at position: UInt32, count: Int) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
        for index in 0..<count { target[index] = byte(at: position &+ UInt32(truncatingIfNeeded: index)) }
        return count
    }
    return buffer
}

private func areBytes(_ buffer: ByteBuffer, at position: UInt32) -> Bool {
    var position = position
    for value in buffer.readableBytesView {
        if value != byte(at: position) { return false }
        position &+= 1
    }
    return true
}

final class Flow: TCPControlBlockDelegate {
    let habit: Habit
    let peer: TransportAddress
    let stack: TransportAddress

    // What the peer knows.
    /// Its initial sequence number.
    var initial: UInt32 = 1000
    /// What it would send next.
    var next: UInt32 = 1001
    private var highest: UInt32 = 1001
    /// Whether the numbers above are those of the connection, and not of a later one.
    private var isInStep = false
    /// What the FIN acknowledges when it has come.
    private var finish: UInt32?
    /// The first byte the stack sends, what it has sent, what it has acknowledged, and its window: as last heard.
    private var stackFirst: UInt32 = 0
    private(set) var stackNext: UInt32 = 0
    /// The end of the data it has sent, and whether that has moved on since `takeNews`.
    private(set) var stackDataNext: UInt32 = 0
    private var hasNews = false
    private(set) var acknowledged: UInt32 = 0
    private(set) var window: UInt32 = 0
    private(set) var lastPacket: ByteBuffer?
    private var resets = 0
    /// Whether neither end has sent a reset, nor the peer begun anew.
    private(set) var isUndisturbed = true
    /// What its SYN-ACK has acknowledged.
    private var answered: UInt32 = 0

    // What the user has.
    var request: TCPForwardRequest?
    private(set) var block: TCPControlBlock?
    private var readNext: UInt32 = 0
    private var written: UInt32 = 0
    private var isWriting = false
    private(set) var finding: Finding?

    init(_ habit: Habit, peer: TransportAddress, stack: TransportAddress) {
        self.habit = habit
        self.peer = peer
        self.stack = stack
    }

    private func require(_ isKept: Bool, _ promise: @autoclosure () -> String) {
        if !isKept, finding == nil { finding = Finding(description: "\(promise()) (\(habit))") }
    }

    // MARK: The peer

    /// Starts anew with another initial sequence number.
    func restart(at sequence: UInt32) {
        isUndisturbed = false
        initial = sequence
        next = sequence &+ 1
        highest = next
        isInStep = false
        finish = nil
    }

    /// The peer sends a segment.
    func segment(
        _ flags: TCPHeader.Flags, at sequence: UInt32, acknowledging: UInt32, window: UInt16, count: Int,
        options: [UInt8], urgent: UInt16
    ) -> ByteBuffer {
        if flags.contains(.rst) {
            isUndisturbed = false
            hasNews = false
        }
        let start = flags.contains(.syn) ? sequence &+ 1 : sequence
        var end = start &+ UInt32(truncatingIfNeeded: count)
        let isFIN = flags.contains(.fin)
        if isFIN { end &+= 1 }
        if !agrees(end, isFIN: isFIN) { isInStep = false }
        if isFIN { finish = end }
        // What is far off is in no window.
        if end &- highest < 1 << 30 { highest = end }
        if sequence == next { next = end }
        var packet = ByteBuffer()
        let padded = options + [UInt8](repeating: 0, count: -options.count & 3)
        try? IPHeader.write(
            source: peer.address, destination: stack.address, protocol: .tcp,
            payloadLength: 20 + padded.count + count, to: &packet)
        packet.writeMultipleIntegers(
            peer.port, stack.port, sequence, acknowledging, UInt8(5 + padded.count / 4) << 4, flags.rawValue, window,
            UInt16(0), urgent)
        packet.writeBytes(padded)
        packet.writeImmutableBuffer(bytes(at: start, count: count))
        packet.fixChecksum(at: 16, .tcp)
        return packet
    }

    /// What the stack has not acknowledged up to `end`, once more.
    func segmentAgain(upTo end: UInt32) -> ByteBuffer {
        let isFIN = finish == end
        return segment(
            isFIN ? [.ack, .fin] : .ack, at: acknowledged, acknowledging: stackNext, window: 65535,
            count: Int(end &- acknowledged) - (isFIN ? 1 : 0), options: [], urgent: 0)
    }

    /// Whether a segment up to `end` leaves the stream with one end: which one counts is not for a peer to say that tells of
    /// several.
    func agrees(_ end: UInt32, isFIN: Bool) -> Bool {
        guard isFIN else { return finish.map { end &- $0 >= 1 << 31 } ?? true }
        return finish ?? end == end && (highest &- end >= 1 << 31 || highest == end)
    }

    /// The peer hears a segment of the stack.
    func heard(_ tcp: TCPHeader, _ data: ByteBuffer, in packet: ByteBuffer) {
        lastPacket = packet
        guard !tcp.flags.contains(.rst) else {
            isUndisturbed = false
            hasNews = false
            return resets += 1
        }
        if tcp.flags.contains(.syn) {
            stackFirst = tcp.sequenceNumber &+ 1
            stackNext = stackFirst
            stackDataNext = stackFirst
            if tcp.flags.contains(.ack) { answered = tcp.acknowledgmentNumber }
        }
        require(areBytes(data, at: tcp.sequenceNumber &- stackFirst), "the stack sends what was written")
        let end = tcp.sequenceNumber &+ UInt32(truncatingIfNeeded: tcp.segmentLength)
        // One more for the FIN.
        require(end &- stackFirst <= written &+ 1 || tcp.segmentLength == 0, "the stack sends no more than was written")
        if Int32(bitPattern: end &- stackNext) > 0 { stackNext = end }
        let dataEnd = tcp.sequenceNumber &+ UInt32(data.readableBytes)
        if data.readableBytes > 0, Int32(bitPattern: dataEnd &- stackDataNext) > 0 {
            stackDataNext = dataEnd
            hasNews = true
        }
        if tcp.flags.contains(.ack) {
            acknowledged = tcp.acknowledgmentNumber
            require(!isInStep || highest &- acknowledged < 1 << 31, "the stack acknowledges what was sent")
        }
        window = UInt32(tcp.window)
    }

    func takeNews() -> Bool {
        defer { hasNews = false }
        return hasNews
    }

    /// What there is to see of a connection, by both of its ends.
    struct Sight: Equatable, CustomStringConvertible {
        let acknowledged: UInt32
        let resets: Int
        let read: UInt32
        let isFinished: Bool
        let failure: String?

        var description: String {
            "acknowledges \(acknowledged), resets \(resets), read \(read)"
                + (isFinished ? ", finished" : "") + (failure.map { ", \($0)" } ?? "")
        }
    }

    var sight: Sight {
        Sight(
            acknowledged: acknowledged &- initial, resets: resets, read: block == nil ? 0 : readNext &- initial &- 1,
            isFinished: block.map { $0.failure == nil && $0.isFinished } ?? false,
            failure: block?.failure.map { "\($0)" })
    }

    /// How many sequence numbers it has taken.
    var sent: UInt32 { stackNext &- stackFirst }

    // MARK: The user

    func opened(_ result: Result<TCPControlBlock, NetstackError>) {
        request = nil
        guard case .success(let block) = result else { return }
        readNext = habit == .dials ? initial &+ 1 : answered
        isInStep = readNext == initial &+ 1 && finish == nil
        self.block = block
        written = 0
        block.delegate = self
    }

    func read(upTo limit: Int) {
        guard let bytes = block?.read(upTo: limit) else { return }
        require(bytes.readableBytes > 0, "a read is of some bytes")
        require(areBytes(bytes, at: readNext), "what is read is what the peer sent")
        readNext &+= UInt32(truncatingIfNeeded: bytes.readableBytes)
        require(!isInStep || highest &- readNext < 1 << 31, "no more is read than the peer sent")
    }

    /// Reads until so many bytes have come, or there are no more: in how many pieces is each TCP's own.
    func readAll(upTo limit: Int) {
        var rest = limit
        while rest > 0 {
            let before = readNext
            read(upTo: rest)
            if readNext == before { break }
            rest -= Int(readNext &- before)
        }
    }

    func write(_ count: Int) {
        // To be told of room while writing changes nothing.
        guard !isWriting else { return }
        isWriting = true
        defer { isWriting = false }
        var rest = bytes(at: written, count: count)
        // What is written is known only afterwards, and may be heard of before.
        let before = written
        written &+= UInt32(truncatingIfNeeded: count)
        try? block?.write(&rest)
        written = before &+ UInt32(truncatingIfNeeded: count - rest.readableBytes)
    }

    func letGo() { block = nil }

    func controlBlockCanRead(_ block: TCPControlBlock) {
        require(!block.isFinished || finish != nil, "the end is read when the peer has sent it")
        guard habit == .reads else { return }
        while self.block === block, block.failure == nil, !block.isFinished {
            let before = readNext
            read(upTo: .max)
            if readNext == before { break }
        }
        if block.isFinished { block.closeWrite() }
    }

    func controlBlockCanWrite(_ block: TCPControlBlock) { write(1000) }

    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {}
}
