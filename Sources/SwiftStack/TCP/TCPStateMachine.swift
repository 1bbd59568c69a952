// One TCP connection (RFC 9293), with no I/O and no clock of its own: its state, and what its user asks of it.

package import NIOCore
import NetstackCore

/// Segments, writes and the time go in; segments and events come out. What arrives is in `+Receive` and `+Acknowledge`,
/// what leaves in `+Transmit`, what is sent again in `+Recovery`, what comes of time in `+Timers`.
///
/// It can't be copied: where it lies is not told by how it is used, and an accident would cost each segment a tenth of its time.
package struct TCPStateMachine: ~Copyable {
    /// RFC 9293 section 3.3.2. LISTEN is the stack's.
    package enum State: Hashable, Sendable {
        case synSent, synReceived, established, finWait1, finWait2, closeWait, closing, lastAck, timeWait, closed
    }

    package struct Events: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The handshake is complete.
        package static let opened = Events(rawValue: 1)
        /// There is something to read: bytes, or the end.
        package static let canRead = Events(rawValue: 2)
        /// The connection is gone: `failure` says why; nil after a close in good order.
        package static let closed = Events(rawValue: 8)
    }

    package enum Failure: Hashable, Sendable {
        /// A reset, after the handshake.
        case reset
        /// A reset in place of the handshake.
        case refused
        /// No answer: retransmissions, keep-alive probes or the user time-out have run out.
        case timedOut
    }

    /// What the next `transmit` sends beside data.
    struct Pending: OptionSet {
        let rawValue: UInt8
        static let syn = Pending(rawValue: 1)
        static let acknowledgment = Pending(rawValue: 2)
        static let reset = Pending(rawValue: 4)
        /// A segment that asks for an answer: a zero-window or a keep-alive probe.
        static let probe = Pending(rawValue: 8)
        /// A tail-loss probe (RFC 8985 section 7.3).
        static let tailLossProbe = Pending(rawValue: 16)
        /// A segment, though the congestion window has no room or the segment is short.
        static let override = Pending(rawValue: 32)
        /// A reset for a segment that is none of this connection's: it has `resetSequence`.
        static let strayReset = Pending(rawValue: 64)
    }

    /// What was agreed upon, and what has happened.
    struct Conditions: OptionSet {
        let rawValue: UInt16
        static let timestamps = Conditions(rawValue: 1)
        static let selectiveAcknowledgment = Conditions(rawValue: 2)
        static let ecn = Conditions(rawValue: 4)
        /// The user has closed the direction of sending.
        static let writeClosed = Conditions(rawValue: 8)
        /// The user has closed both.
        static let readClosed = Conditions(rawValue: 16)
        static let finSent = Conditions(rawValue: 32)
        static let finAcknowledged = Conditions(rawValue: 64)
        static let peerFinished = Conditions(rawValue: 128)
        /// More writes are to follow at once: a short segment waits for them.
        static let moreToCome = Conditions(rawValue: 256)
        /// What `retransmission` of the timers waits for is a window, not an acknowledgment.
        static let persisting = Conditions(rawValue: 1024)
        /// The congestion window kept something from being sent in this round.
        static let windowLimited = Conditions(rawValue: 2048)
        /// Congestion was experienced, and the peer has not confirmed to know (RFC 3168 section 6.1.3).
        static let echoesCongestion = Conditions(rawValue: 4096)
        /// The next segment of new data says that the window was reduced.
        static let confirmsReduction = Conditions(rawValue: 8192)
        /// The connection was opened passively.
        static let passive = Conditions(rawValue: 16384)
        /// The SYN-ACK was sent again, and not for a time-out: which of them an acknowledgment is of can't be told.
        static let synRepeated = Conditions(rawValue: 32768)
    }

    let shared: TCPConfiguration.Shared
    package var configuration: TCPConfiguration { shared.value }
    /// What of the configuration is the connection's own.
    package internal(set) var keepsAlive: Bool
    package var sendsAtOnce: Bool
    var maximumReceiveWindow: Int
    /// Bytes of either buffer that are worth having whatever the round trip.
    var worthwhileWindow: Int
    var maximumSendBuffer: Int
    package internal(set) var state: State
    package internal(set) var failure: Failure?
    var events: Events = []
    /// Why the segment that was received last, or a part of its data, was not taken.
    package internal(set) var drop: DropReason?
    var pending: Pending = []
    var conditions: Conditions = []

    // The send sequence space (RFC 9293 section 3.3.1): SND.UNA, SND.NXT, SND.WND, SND.WL1, SND.WL2.
    var sendUnacknowledged: TCPSequenceNumber
    var sendNext: TCPSequenceNumber
    var sendWindow = 0
    var sendWindowSequence = TCPSequenceNumber(0)
    var sendWindowAcknowledgment = TCPSequenceNumber(0)
    /// MAX.SND.WND.
    var largestSendWindow = 0
    var sendWindowScale: UInt8 = 0
    /// The longest data of a segment that peer and path take, before options.
    var sendMaximumSegmentSize: Int
    var pathSearch: TCPPathSearch?
    /// The end of the last segment that was shorter than it could have been (Nagle's algorithm).
    var shortSegmentEnd: TCPSequenceNumber
    var resetSequence = TCPSequenceNumber(0)
    var sendBuffer = TCPSendBuffer()
    var retransmissions = TCPRetransmissionQueue()

    // The receive sequence space: RCV.NXT, and RCV.NXT + RCV.WND as the peer knows it.
    var receiveNext = TCPSequenceNumber(0)
    var receiveWindowEdge = TCPSequenceNumber(0)
    var receiveWindowScale: UInt8 = 0
    /// Last.ACK.sent and TS.Recent (RFC 7323 section 4.3), and when that was set.
    var lastAcknowledgment = TCPSequenceNumber(0)
    var recentTimestamp: UInt32 = 0
    var recentTimestampAt: NIODeadline
    let timestampOffset: UInt32
    /// Where a FIN that arrived ahead of data is.
    var peerFinSequence: TCPSequenceNumber?
    /// A duplicate to report (RFC 2883).
    var duplicate: SACKBlock?
    /// What a full-sized segment of the peer is, as those that have arrived say, and the last of them; 0 after a PSH.
    var receiveMaximumSegmentSize: Int
    var lastReceivedSegmentSize = 0
    var receiveBuffer: TCPReceiveBuffer
    var reassembly = TCPReassemblyQueue()

    // Congestion control and loss recovery.
    var congestion: CongestionController
    var windowValidation: CongestionWindowValidation
    var roundTrip: RoundTripEstimator
    var lossDetection: TCPLossDetection
    var recovery = Recovery.none
    /// What will be acknowledged when recovery is over ("RecoveryPoint", "recover").
    var recoveryPoint: TCPSequenceNumber
    var forwardRecovery = ForwardRecovery.off
    /// Of a peer without SACK.
    var duplicateAcknowledgments = 0
    /// The most that was in flight in the round that ends with `flightRoundEnd`.
    var largestFlight = 0
    var flightRoundEnd: TCPSequenceNumber
    /// Of this recovery: when the first segment was sent again, what of all those has not come back as a duplicate, and where
    /// they lie.
    var firstRetransmissionAt: NIODeadline?
    var retransmittedLength = 0
    var retransmittedStart: TCPSequenceNumber
    var retransmittedEnd: TCPSequenceNumber
    /// How often the timer has expired with no answer at all.
    var unansweredTimeouts: UInt8 = 0

    var timers = TCPTimers()
    var lastSentAt: NIODeadline
    var lastReceivedAt: NIODeadline
    var keepAliveProbesSent: UInt8 = 0
    /// Of challenge acknowledgments, and of answers to keep-alive probes: whoever guesses segments must not use up those.
    var challenges = RateLimit()
    var probeAnswers = RateLimit()

    enum Recovery {
        case none
        /// Fast recovery (RFC 6675).
        case fast(ProportionalRateReduction)
        /// The peer has told of congestion (RFC 3168 section 6.1.2): nothing is lost.
        case congestionExperienced(ProportionalRateReduction)
        /// Slow start after the retransmission timer has expired.
        case timeout

        /// What governs the window; nil where nothing does but congestion control.
        var reduction: ProportionalRateReduction? {
            get {
                switch self {
                case .fast(let reduction), .congestionExperienced(let reduction): reduction
                case .none, .timeout: nil
                }
            }
            set {
                guard let newValue else { return }
                switch self {
                case .fast: self = .fast(newValue)
                case .congestionExperienced: self = .congestionExperienced(newValue)
                case .none, .timeout: break
                }
            }
        }
    }

    /// Whether a time-out was spurious is told by the next two acknowledgments (F-RTO, RFC 5682 section 2.1).
    enum ForwardRecovery {
        case off, awaitingFirst
        /// New data are sent, and nothing again.
        case awaitingSecond
    }

    /// Opens actively (RFC 9293 section 3.10.1): the SYN leaves with the next `transmit`.
    package init(
        connecting configuration: TCPConfiguration.Shared, initialSequenceNumber: TCPSequenceNumber,
        timestampOffset: UInt32, now: NIODeadline
    ) {
        self.init(.synSent, configuration, initialSequenceNumber, timestampOffset, now)
        pending = .syn
    }

    /// Opens passively for a SYN that has arrived (RFC 9293 section 3.10.7.2): the SYN-ACK leaves with the next `transmit`.
    package init(
        accepting syn: TCPSegment, configuration: TCPConfiguration.Shared,
        initialSequenceNumber: TCPSequenceNumber, timestampOffset: UInt32, now: NIODeadline
    ) {
        self.init(.synReceived, configuration, initialSequenceNumber, timestampOffset, now)
        conditions.insert(.passive)
        pending = .syn
        takeSYN(syn, now: now)
    }

    /// A connection of which nothing is left.
    init(ended configuration: TCPConfiguration.Shared, now: NIODeadline) {
        self.init(.closed, configuration, TCPSequenceNumber(0), 0, now)
    }

    private init(
        _ state: State, _ shared: TCPConfiguration.Shared, _ initial: TCPSequenceNumber, _ timestampOffset: UInt32,
        _ now: NIODeadline
    ) {
        let configuration = shared.value
        self.shared = shared
        keepsAlive = configuration.keepsAlive
        sendsAtOnce = configuration.sendsAtOnce
        maximumReceiveWindow = configuration.maximumReceiveWindow
        worthwhileWindow = configuration.initialSendBuffer
        maximumSendBuffer = configuration.maximumSendBuffer
        self.state = state
        self.timestampOffset = timestampOffset
        sendUnacknowledged = initial
        sendNext = initial + 1
        shortSegmentEnd = initial
        recoveryPoint = initial
        retransmittedStart = initial
        retransmittedEnd = initial
        flightRoundEnd = initial
        let segmentSize = configuration.defaultMaximumSegmentSize
        sendMaximumSegmentSize = segmentSize
        receiveMaximumSegmentSize = segmentSize
        receiveBuffer = TCPReceiveBuffer(limit: configuration.initialReceiveWindow, now: now)
        congestion = CongestionController(configuration.congestionControl, window: segmentSize)
        windowValidation = CongestionWindowValidation(now: now)
        roundTrip = RoundTripEstimator(initialTimeout: configuration.initialRetransmissionTimeout)
        lossDetection = TCPLossDetection(forward: initial)
        recentTimestampAt = now
        lastSentAt = now
        lastReceivedAt = now
    }

    // MARK: The user's calls

    /// Takes as much as there is room for off the front of `bytes`, without a copy. Takes nothing once the direction is
    /// closed. With `more`, a segment that is not full waits for the next write. No more than `limit` bytes are taken.
    package mutating func write(_ bytes: inout ByteBuffer, upTo limit: Int = .max, more: Bool, now: NIODeadline) {
        let length = min(bytes.readableBytes, sendRoom, limit)
        if length > 0 {
            sendBuffer.append(&bytes, length: length)
            startUserTimeout(now: now)
        }
        set(.moreToCome, more)
    }

    /// Bytes that `write` would take now.
    package var sendRoom: Int {
        guard !conditions.contains(.writeClosed), state != .closed else { return 0 }
        // In recovery the window is at its smallest while what is in flight, behind the gap, is at its longest.
        let wanted = max(2 * congestion.window, sendNext - sendUnacknowledged + congestion.window)
        let limit = min(max(worthwhileWindow, wanted), maximumSendBuffer)
        return max(limit - sendBuffer.count, 0)
    }

    /// Takes some of what has arrived in order, up to `limit` bytes; the window opens by as much. Nil if there is nothing.
    package mutating func read(upTo limit: Int, now: NIODeadline) -> ByteBuffer? {
        guard let bytes = receiveBuffer.read(upTo: limit) else { return nil }
        if let smoothed = roundTrip.smoothed {
            receiveBuffer.tune(roundTrip: smoothed, maximum: maximumReceiveWindow, now: now)
            if receiveWindowScale > 0 { receiveBuffer.grow(to: min(worthwhileWindow, maximumReceiveWindow)) }
            if receiveBuffer.limit > configuration.initialReceiveWindow, receivesData { startIdleTimer(now: now) }
        }
        if receivesData, isWindowUpdateDue { pending.insert(.acknowledgment) }
        return bytes
    }

    /// Bytes that could be read.
    package var readableBytes: Int { receiveBuffer.count }

    /// Whether the peer has closed its direction. What it sent before may still be unread.
    package var peerFinished: Bool { conditions.contains(.peerFinished) }

    /// Half-close: a FIN after all that has been written (RFC 9293 section 3.10.4).
    package mutating func closeWrite(now: NIODeadline) {
        guard state != .closed, !conditions.contains(.writeClosed) else { return }
        conditions.insert(.writeClosed)
        conditions.remove(.moreToCome)
        switch state {
        case .established: state = .finWait1
        case .closeWait: state = .lastAck
        default: break  // The FIN leaves once the handshake is complete.
        }
        startUserTimeout(now: now)
    }

    /// Closes both directions: a FIN after all that has been written. Data that have not been read, or that come later, are
    /// answered with a reset (RFC 9293 section 3.6, RFC 1122 section 4.2.2.13).
    package mutating func close(now: NIODeadline) {
        switch state {
        case .synSent:
            end(nil)
        case .closed, .timeWait:
            receiveBuffer.removeAll()
        default:
            guard receiveBuffer.count == 0 else { return abort(now: now) }
            conditions.insert(.readClosed)
            closeWrite(now: now)
            if state == .finWait2 { timers.wait = now + configuration.timeWait }
        }
    }

    /// Ends at once; the peer is told by a reset where there is one to tell (RFC 9293 section 3.10.5). In CLOSING and
    /// LAST-ACK there is while the FIN waits for its turn: these states begin here when the user has closed.
    package mutating func abort(now: NIODeadline) {
        let isFINSent = conditions.contains(.finSent)
        switch state {
        case .closed: return
        case .synSent, .timeWait: end(nil)
        case .closing where isFINSent, .lastAck where isFINSent: end(nil)
        default:
            end(nil)
            pending = .reset
        }
    }

    /// A packet longer than the path takes was reported (RFC 1191, RFC 8201), or found by probing (RFC 4821): segments
    /// get no longer than this, and what has been lost is sent again.
    package mutating func pathTakes(maximumSegmentSize: Int, now: NIODeadline) {
        let size = max(maximumSegmentSize, Self.smallestMaximumSegmentSize)
        let probe = pathSearch?.probe
        notePathTakes(size, now: now)
        if size < sendMaximumSegmentSize {
            sendMaximumSegmentSize = size
            // What was too long is not lost to congestion: the window stays (RFC 1191 section 6.5).
            retransmissions.markLostOnTimeout(age: .zero, now: now)
        } else if let probe, size < probe.end - probe.start {
            retransmissions.markLost(from: probe.start, length: probe.end - probe.start)
        }
        if retransmissions.lostLength > 0 { pending.insert(.override) }
    }

    /// Whether `sequence` is among what has been sent and not acknowledged (RFC 5927 section 4.1).
    package func hasInFlight(_ sequence: TCPSequenceNumber) -> Bool {
        sendUnacknowledged <= sequence && sequence < sendNext && state != .closed
    }

    /// What has happened since the last call.
    package mutating func takeEvents() -> Events {
        let taken = events
        events = []
        return taken
    }

    // MARK: What the parts have in common

    /// A peer that announces less is not believed: options would leave no room for data.
    static let smallestMaximumSegmentSize = 88

    mutating func set(_ condition: Conditions, _ holds: Bool) {
        if holds { conditions.insert(condition) } else { conditions.remove(condition) }
    }

    /// Whether the peer may send data in this state.
    var receivesData: Bool { state == .established || state == .finWait1 || state == .finWait2 }

    /// The data of a full-sized segment: the unit of congestion control.
    var segmentSize: Int { sendMaximumSegmentSize - (conditions.contains(.timestamps) ? 12 : 0) }

    /// The connection is gone. What was to be sent is let go; what is unread can still be read, unless it failed.
    mutating func end(_ failure: Failure?) {
        guard state != .closed else { return }
        state = .closed
        self.failure = failure
        events.insert(.closed)
        pending = []
        timers = TCPTimers()
        sendBuffer = TCPSendBuffer()
        retransmissions = TCPRetransmissionQueue()
        reassembly.removeAll()
    }
}
