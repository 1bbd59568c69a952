// When a connection has something to do though nothing happens.

package import NIOCore

/// The timers that run; `.distantFuture` stands for one that does not.
struct TCPTimers {
    /// Retransmission (RFC 6298), of a SYN as well; zero-window probes while nothing is in flight (RFC 9293 section 3.8.6.1).
    var retransmission = NIODeadline.distantFuture
    /// The tail-loss probe (RFC 8985 section 7).
    var tailLossProbe = NIODeadline.distantFuture
    /// What was overtaken gets lost (RFC 8985 section 6.2 step 5).
    var reordering = NIODeadline.distantFuture
    /// The delayed acknowledgment (RFC 9293 section 3.8.6.3).
    var acknowledgment = NIODeadline.distantFuture
    var keepAlive = NIODeadline.distantFuture
    /// The user time-out (RFC 9293 section 3.8.3).
    var user = NIODeadline.distantFuture
    /// More may leave of a window that is not validated (RFC 7661 section 4.4.2).
    var spreading = NIODeadline.distantFuture
    /// Buffers that have grown are given back when nothing has happened for a while.
    var idle = NIODeadline.distantFuture
    /// The end of TIME-WAIT, and of FIN-WAIT-2 where nobody is there to read.
    var wait = NIODeadline.distantFuture

    /// The first of them.
    var next: NIODeadline? {
        let first = min(
            min(retransmission, tailLossProbe, reordering, acknowledgment, spreading), min(keepAlive, user, idle, wait))
        return first == .distantFuture ? nil : first
    }
}

extension TCPStateMachine {
    /// When `timersDue` has to be called next; nil while nothing is waited for.
    package var nextDeadline: NIODeadline? { timers.next }

    /// Time has passed. What comes of it leaves with the next `transmit`.
    package mutating func timersDue(now: NIODeadline) {
        if timers.wait <= now { return end(nil) }
        if timers.user <= now { return end(.timedOut) }
        if timers.acknowledgment <= now {
            timers.acknowledgment = .distantFuture
            pending.insert(.acknowledgment)
        }
        if timers.spreading <= now { timers.spreading = .distantFuture }
        if timers.reordering <= now {
            timers.reordering = .distantFuture
            detectLosses(now: now)
            enterRecoveryIfNeeded(flight: sendNext - sendUnacknowledged)
            limitRecovery(TCPDelivery(now: now, minimumRoundTrip: .zero, echo: nil), isProgressing: false)
        }
        if timers.tailLossProbe <= now {
            timers.tailLossProbe = .distantFuture
            pending.insert(.tailLossProbe)
            // Section 7.3: the retransmission timer starts anew with the probe.
            timers.retransmission = now + retransmissionTimeout
        }
        if timers.retransmission <= now { retransmissionDue(now: now) }
        if timers.keepAlive <= now { keepAliveDue(now: now) }
        if timers.idle <= now { idleDue(now: now) }
    }

    /// RTO as it stands.
    var retransmissionTimeout: TimeAmount { roundTrip.timeout(atMost: configuration.maximumRetransmissionTimeout) }

    /// R2 of RFC 9293 section 3.8.3, unless there is a user time-out: some 13 minutes.
    private static let maximumRetransmissions: UInt8 = 15

    private mutating func retransmissionDue(now: NIODeadline) {
        roundTrip.backOffs = min(roundTrip.backOffs, .max - 1) + 1
        unansweredTimeouts = min(unansweredTimeouts, .max - 1) + 1
        if state == .synSent || state == .synReceived {
            guard Int(roundTrip.backOffs) <= configuration.synRetries else { return end(.timedOut) }
            pending.insert(.syn)
        } else {
            let isHopeless = unansweredTimeouts > Self.maximumRetransmissions && configuration.userTimeout == nil
            // A peer whose window stays closed holds memory of ours: not for ever where the user has left.
            let isAbandoned = conditions.contains(.readClosed) && roundTrip.backOffs > Self.maximumRetransmissions
            guard !isHopeless, !isAbandoned else { return end(.timedOut) }
            if conditions.contains(.persisting) {
                // What the peer's window has room for leaves, however short (RFC 9293 section 3.8.6.2.1).
                pending.insert(sendUnacknowledged + sendWindow > sendNext ? .override : .probe)
            } else {
                retransmissionTimedOut(now: now)
            }
        }
        timers.retransmission = now + retransmissionTimeout
    }

    /// RFC 6298 section 5.4, RFC 5681 section 3.1.
    private mutating func retransmissionTimedOut(now: NIODeadline) {
        suspectBlackHole(now: now)
        if case .timeout = recovery, unansweredTimeouts > 1 {
            // The same data once more: ssthresh stays (RFC 5681 section 3.1).
        } else {
            reduceWindow(flight: sendNext - sendUnacknowledged)
            firstRetransmissionAt = nil
            retransmittedLength = 0
        }
        if case .timeout = recovery { forwardRecovery = .off } else { forwardRecovery = .awaitingFirst }
        congestion.collapse(segment: segmentSize)
        recovery = .timeout
        recoveryPoint = sendNext
        duplicateAcknowledgments = 0
        lossDetection.probe = nil
        timers.tailLossProbe = .distantFuture
        timers.reordering = .distantFuture
        pending.remove(.tailLossProbe)
        let window = lossDetection.reorderingWindow(
            sacked: 0, segment: segmentSize, isRecovering: true, smoothed: roundTrip.smoothed)
        retransmissions.markLostOnTimeout(age: lossDetection.roundTrip + window, now: now)
        pending.insert(.override)
    }

    /// Only on request (RFC 9293 section 3.8.4: MUST-24).
    package mutating func setKeepsAlive(_ keepsAlive: Bool, now: NIODeadline) {
        self.keepsAlive = keepsAlive
        startKeepAlive(now: now)
    }

    mutating func startKeepAlive(now: NIODeadline) {
        let isOpen = state != .closed && state != .synSent && state != .synReceived && state != .timeWait
        keepAliveProbesSent = 0
        timers.keepAlive = keepsAlive && isOpen ? now + configuration.keepAliveIdle : .distantFuture
    }

    /// RFC 9293 section 3.8.4.
    private mutating func keepAliveDue(now: NIODeadline) {
        let idleUntil = lastReceivedAt + configuration.keepAliveIdle
        if idleUntil > now {
            timers.keepAlive = idleUntil
        } else if !retransmissions.isEmpty || conditions.contains(.persisting) {
            // Retransmissions ask already.
            timers.keepAlive = now + configuration.keepAliveIdle
        } else if Int(keepAliveProbesSent) >= min(configuration.keepAliveProbes, Int(UInt8.max)) {
            end(.timedOut)
        } else {
            keepAliveProbesSent += 1
            pending.insert(.probe)
            timers.keepAlive = now + configuration.keepAliveInterval
        }
    }

    /// Long beyond what a round trip, or a time-out or two, may take.
    private static let idleTime = TimeAmount.seconds(10)

    /// The buffers have grown.
    mutating func startIdleTimer(now: NIODeadline) {
        if timers.idle == .distantFuture { timers.idle = now + Self.idleTime }
    }

    private mutating func idleDue(now: NIODeadline) {
        let end = max(lastReceivedAt, lastSentAt) + Self.idleTime
        timers.idle = end > now ? end : .distantFuture
        if end <= now { receiveBuffer.giveBack(to: configuration.initialReceiveWindow) }
    }

    /// Data wait from now on, if none did.
    mutating func startUserTimeout(now: NIODeadline) {
        guard let timeout = configuration.userTimeout, timers.user == .distantFuture else { return }
        timers.user = now + timeout
    }
}
