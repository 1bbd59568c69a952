// What was lost, how the window is brought down for it, and how that is undone where nothing was.

import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// RFC 8985 section 6.2 steps 4 and 5.
    mutating func detectLosses(now: NIODeadline) {
        timers.reordering = .distantFuture
        guard let recent = lossDetection.recent, retransmissions.sackedLength > 0 || isRecovering else { return }
        let window = lossDetection.reorderingWindow(
            sacked: retransmissions.sackedLength, segment: segmentSize, isRecovering: isRecovering,
            smoothed: roundTrip.smoothed)
        timers.reordering =
            retransmissions.markLost(sentBefore: recent, age: lossDetection.roundTrip + window, now: now)
            ?? .distantFuture
    }

    var isRecovering: Bool {
        switch recovery {
        case .fast, .timeout: true
        case .none, .congestionExperienced: false
        }
    }

    /// Without SACK (RFC 6582 section 3.2): each duplicate says that a segment has arrived, the third that one was lost.
    mutating func countDuplicates(
        _ segment: TCPSegment, isNew: Bool, isWindowSame: Bool, _ delivery: inout TCPDelivery
    ) {
        if isNew {
            if case .fast = recovery, sendUnacknowledged < recoveryPoint {
                // A partial acknowledgment: the next hole begins here, and the window is deflated by what was filled.
                retransmissions.markFirstLost(length: segmentSize)
                let known = duplicateAcknowledgments * segmentSize
                duplicateAcknowledgments = max(0, known - delivery.length) / segmentSize
                delivery.length = max(0, delivery.length - known)
            } else {
                duplicateAcknowledgments = 0
            }
            return
        }
        // RFC 5681 section 2 says what a duplicate is.
        guard segment.length == 0, isWindowSame, segment.acknowledgmentNumber == sendUnacknowledged else { return }
        if case .timeout = recovery { return }
        guard (duplicateAcknowledgments + 1) * segmentSize < sendNext - sendUnacknowledged + segmentSize else { return }
        duplicateAcknowledgments += 1
        delivery.length += segmentSize
        if duplicateAcknowledgments == TCPLossDetection.duplicateThreshold, !isRecovering,
            sendUnacknowledged > recoveryPoint
        {
            retransmissions.markFirstLost(length: segmentSize)
        }
    }

    /// RFC 8985 section 7.4.2: was what the probe repeated lost? Then that counts as congestion.
    mutating func endTailLossProbe(
        _ segment: TCPSegment, isNew: Bool, isDuplicateReported: Bool, flight: Int
    ) {
        guard let probe = lossDetection.probe, segment.acknowledgmentNumber >= probe.end else { return }
        if !probe.isRetransmission || isDuplicateReported {
            lossDetection.probe = nil
        } else if segment.acknowledgmentNumber > probe.end {
            lossDetection.probe = nil
            if case .none = recovery {
                reduceWindow(flight: flight)
                congestion.set(window: congestion.slowStartThreshold, segment: segmentSize)
            }
        } else if !isNew, segment.length == 0, segment.options.sackBlocks.isEmpty {
            lossDetection.probe = nil
        }
    }

    // MARK: Recovery

    mutating func enterRecoveryIfNeeded(flight: Int) {
        guard retransmissions.lostLength > 0, !isOnlyProbeLost else { return }
        switch recovery {
        case .fast, .timeout: return
        case .congestionExperienced(let reduction):
            // The window is being reduced already.
            recovery = .fast(reduction)
        case .none:
            recovery = .fast(reduceProportionally(flight: flight))
        }
        firstRetransmissionAt = nil
        retransmittedLength = 0
        lossDetection.probe = nil
        timers.tailLossProbe = .distantFuture
        pending.remove(.tailLossProbe)
    }

    private mutating func reduceProportionally(flight: Int) -> ProportionalRateReduction {
        reduceWindow(flight: flight)
        return ProportionalRateReduction(flight: flight)
    }

    /// RFC 3168 section 6.1.2: as for a loss, once in a round trip. Until what was sent after the last reduction is
    /// acknowledged, the peer may not know of that.
    mutating func congestionExperienced(flight: Int) {
        guard case .none = recovery, sendUnacknowledged > recoveryPoint else { return }
        recovery = .congestionExperienced(reduceProportionally(flight: flight))
    }

    /// A peer that sees congestion says so until it hears that the window was reduced, for whatever reason (RFC 3168 section
    /// 6.1.2).
    mutating func reduceWindow(flight: Int) {
        recoveryPoint = sendNext
        congestion.reduce(flight: flight, segment: segmentSize)
        if conditions.contains(.ecn) { conditions.insert(.confirmsReduction) }
    }

    /// RFC 7661: a round trip is over, or nothing is in flight any more.
    mutating func validateWindow(flight count: Int? = nil, now: NIODeadline) {
        let roundTrip = roundTrip.smoothed ?? .zero
        if let count {
            windowValidation.roundEnded(count, roundTrip: roundTrip, now: now)
        } else {
            windowValidation.resumed(since: lastSentAt, roundTrip: roundTrip, now: now)
        }
        let halvings = windowValidation.update(
            window: congestion.window, burst: CongestionController.initialWindow(segment: segmentSize),
            unusedSince: lastSentAt, now: now)
        // After sixteen nothing is left of any window.
        for _ in 0..<min(halvings, 16) { congestion.decay(segment: segmentSize) }
    }

    /// What may leave of a window that is not validated; none that would be silly.
    mutating func spreadRoom(size: Int, unsent: Int, now: NIODeadline) -> Int {
        let burst = CongestionController.initialWindow(segment: segmentSize)
        let roundTrip = roundTrip.smoothed ?? .zero
        let room = windowValidation.room(window: congestion.window, burst: burst, roundTrip: roundTrip, now: now)
        if room >= min(size, unsent) { return room }
        timers.spreading = max(
            windowValidation.nextRoom(window: congestion.window, burst: burst, roundTrip: roundTrip),
            now + .nanoseconds(1))
        return 0
    }

    /// The window after an acknowledgment.
    mutating func adjustWindow(_ delivery: TCPDelivery, isNew: Bool, isProgressing: Bool, now: NIODeadline) {
        let isOver = isNew && sendUnacknowledged >= recoveryPoint
        var isAfterTimeout = false
        switch recovery {
        case .none:
            break
        case .timeout:
            isAfterTimeout = true
            if isOver {
                recovery = .none
                windowValidation.recovered()
            }
        case .fast, .congestionExperienced:
            if isOver {
                if isRecovering { lossDetection.recoveryEnded() }
                windowValidation.recovered()
                recovery = .none
                duplicateAcknowledgments = 0
                congestion.set(window: congestion.slowStartThreshold, segment: segmentSize)
            } else {
                limitRecovery(delivery, isProgressing: isProgressing)
            }
            return
        }
        guard isNew else { return }
        // RFC 7661 section 4.3: what is not made use of does not grow. In slow start, half of it is use enough.
        if (conditions.contains(.windowLimited) && windowValidation.isValidated)
            || (congestion.isInSlowStart && congestion.window < 2 * max(largestFlight, inFlight))
        {
            // After a time-out, one segment for an acknowledgment that may be of what was not lost (RFC 3465 section 2.3).
            congestion.grow(
                acknowledged: isAfterTimeout ? min(delivery.length, segmentSize) : delivery.length,
                segment: segmentSize, smoothedRoundTrip: roundTrip.smoothed ?? .zero,
                now: now)
        }
    }

    /// The window while PRR governs it.
    mutating func limitRecovery(_ delivery: TCPDelivery, isProgressing: Bool) {
        guard var reduction = recovery.reduction else { return }
        let pipe = inFlight
        let quota = reduction.quota(
            delivered: delivery.length, pipe: pipe, threshold: congestion.slowStartThreshold, segment: segmentSize,
            isProgressing: isProgressing)
        congestion.set(window: pipe + quota, segment: segmentSize)
        recovery.reduction = reduction
    }

    /// What was sent again had arrived: by timestamps, the original was acknowledged (Eifel, RFC 3522 and RFC 4015), or every
    /// retransmission has come back as a duplicate (RFC 3708).
    mutating func undoIfSpurious(_ delivery: TCPDelivery, isNew: Bool) {
        guard let first = firstRetransmissionAt else { return }
        let isOriginal =
            isNew && isRecovering && delivery.acknowledgedRetransmission && (delivery.echo.map { $0 <= first } ?? false)
        guard isOriginal || retransmittedLength <= 0 else { return }
        // Of a time-out this says nothing.
        if case .fast = recovery { lossDetection.hasSeenReordering = true }
        undoRecovery()
    }

    /// F-RTO (RFC 5682 section 2.1): if after a time-out two acknowledgments advance, though only one segment was sent again,
    /// the others had arrived, and the time-out was spurious.
    mutating func checkTimeout(isNew: Bool, isDuplicate: Bool) {
        switch forwardRecovery {
        case .off: return
        case .awaitingFirst where isNew:
            let hasUnsent =
                sendUnacknowledged + sendBuffer.count > sendNext && sendUnacknowledged + sendWindow > sendNext
            forwardRecovery = hasUnsent && sendUnacknowledged < recoveryPoint ? .awaitingSecond : .off
        case .awaitingSecond where isNew:
            undoRecovery()
        case .awaitingFirst, .awaitingSecond:
            if isDuplicate { forwardRecovery = .off }
        }
    }

    private mutating func undoRecovery() {
        firstRetransmissionAt = nil
        forwardRecovery = .off
        retransmissions.forgetLosses()
        congestion.undoReduction()
        recovery = .none
        duplicateAcknowledgments = 0
    }
}
