// What an acknowledgment tells: what has arrived, what was lost, and how much more may be sent.

import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// The fifth step of RFC 9293 section 3.10.7.4. Returns whether the rest of the segment is to be looked at.
    mutating func acknowledge(_ segment: TCPSegment, now: NIODeadline) -> Bool {
        let acknowledgment = segment.acknowledgmentNumber
        guard acknowledgment <= sendNext else {
            challenge(now: now)
            return false
        }
        guard acknowledgment >= sendUnacknowledged else {
            // RFC 5961 section 5.2: older than any window.
            guard sendUnacknowledged - acknowledgment <= max(largestSendWindow, 1 << 16) else {
                challenge(now: now)
                return false
            }
            return true
        }
        let isWindowSame = updateSendWindow(segment, now: now)
        guard !retransmissions.isEmpty else { return true }

        let isNew = acknowledgment > sendUnacknowledged
        let flight = sendNext - sendUnacknowledged
        let echo = segment.options.timestamps.flatMap { echoedTime($0.echoReply, now: now) }
        var delivery = TCPDelivery(now: now, minimumRoundTrip: lossDetection.minimumRoundTrip, echo: echo)
        if isNew { advance(to: acknowledgment, &delivery) }
        let isDuplicateReported = takeSACKBlocks(segment, &delivery)
        takeRoundTrip(segment, delivery, isNew: isNew, now: now)

        let lostBefore = retransmissions.lostLength
        if conditions.contains(.selectiveAcknowledgment) {
            lossDetection.update(delivery)
            detectLosses(now: now)
            endTailLossProbe(segment, isNew: isNew, isDuplicateReported: isDuplicateReported, flight: flight)
        } else {
            countDuplicates(segment, isNew: isNew, isWindowSame: isWindowSame, &delivery)
        }
        undoIfSpurious(delivery, isNew: isNew)
        checkTimeout(isNew: isNew, isDuplicate: !isNew && segment.length == 0)
        enterRecoveryIfNeeded(flight: flight)
        if segment.flags.contains(.ece), conditions.contains(.ecn) { congestionExperienced(flight: flight) }
        // A partial acknowledgment is progress, though it says what was lost next (RFC 6582).
        let isProgressing =
            isNew && (retransmissions.lostLength <= lostBefore || !conditions.contains(.selectiveAcknowledgment))
        adjustWindow(delivery, isNew: isNew, isProgressing: isProgressing, now: now)
        if isNew { restartTimers(now: now) }
        return true
    }

    /// What may be in flight that the network still holds: "pipe" of RFC 6675 section 4.
    var inFlight: Int {
        let unknown = sendNext - sendUnacknowledged - retransmissions.sackedLength - retransmissions.lostLength
        return max(unknown - duplicateAcknowledgments * segmentSize, 0)
    }

    // MARK: What has arrived

    /// Returns whether the window is what it was.
    private mutating func updateSendWindow(_ segment: TCPSegment, now: NIODeadline) -> Bool {
        let acknowledgment = segment.acknowledgmentNumber
        let sequence = segment.sequenceNumber
        guard
            sendWindowSequence < sequence
                || (sendWindowSequence == sequence && sendWindowAcknowledgment <= acknowledgment)
                || acknowledgment > sendUnacknowledged
        else { return true }
        let window = Int(segment.window) << Int(segment.flags.contains(.syn) ? 0 : sendWindowScale)
        // As on the wire: that of a SYN was not scaled.
        let isSame = window == sendWindow || Int(segment.window) == sendWindow
        sendWindow = window
        largestSendWindow = max(largestSendWindow, window)
        sendWindowSequence = sequence
        sendWindowAcknowledgment = acknowledgment
        if window == 0 || conditions.contains(.persisting) {
            // A peer that answers is not given up, however long its window is closed (RFC 9293 section 3.8.6.1).
            unansweredTimeouts = 0
            if let timeout = configuration.userTimeout, timers.user != .distantFuture { timers.user = now + timeout }
        }
        return isSame
    }

    /// SND.UNA moves on.
    private mutating func advance(to acknowledgment: TCPSequenceNumber, _ delivery: inout TCPDelivery) {
        let length = acknowledgment - sendUnacknowledged
        retransmissions.acknowledge(upTo: acknowledgment, &delivery)
        if length > sendBuffer.count { conditions.insert(.finAcknowledged) }
        sendBuffer.removeFirst(length)
        sendUnacknowledged = acknowledgment
        unansweredTimeouts = 0
        // Karn's algorithm: what was sent again and is acknowledged says nothing of the path (RFC 6298 section 5.7).
        if !delivery.acknowledgedRetransmission { roundTrip.backOffs = 0 }
        // "A good deal" of room: writers are not woken for a segment at a time.
        if conditions.contains(.wantsRoom), sendRoom >= sendBuffer.count / 2 {
            conditions.remove(.wantsRoom)
            events.insert(.canWrite)
        }
    }

    /// Returns whether the first block reports a duplicate (RFC 2883 section 4).
    private mutating func takeSACKBlocks(_ segment: TCPSegment, _ delivery: inout TCPDelivery) -> Bool {
        let blocks = segment.options.sackBlocks
        guard conditions.contains(.selectiveAcknowledgment), let first = blocks.first else { return false }
        for block in blocks { retransmissions.markSacked(block, &delivery) }
        let left = TCPSequenceNumber(first.left)
        let right = TCPSequenceNumber(first.right)
        let isInSecond =
            blocks.count > 1 && TCPSequenceNumber(blocks[1].left) <= left && right <= TCPSequenceNumber(blocks[1].right)
        guard left < right, left < segment.acknowledgmentNumber || isInSecond else { return false }
        lossDetection.noteDuplicate(acknowledged: segment.acknowledgmentNumber, sendNext: sendNext)
        retransmittedLength -= right - left
        return true
    }

    // MARK: Round trips

    /// When the latest of the segments was sent that have this timestamp, or that it can't be; nil where it is none of ours.
    private func echoedTime(_ echo: UInt32, now: NIODeadline) -> NIODeadline? {
        guard conditions.contains(.timestamps) else { return nil }
        let elapsed = UInt64(timestamp(now) &- echo)
        let milliseconds = now.uptimeNanoseconds / 1_000_000
        guard elapsed <= min(milliseconds, UInt64(Int32.max)) else { return nil }
        return .uptimeNanoseconds((milliseconds - elapsed + 1) * 1_000_000)
    }

    /// The round trip that the timestamps tell (RFC 7323 section 4.1).
    func echoedRoundTrip(_ segment: TCPSegment, now: NIODeadline) -> TimeAmount? {
        guard let timestamps = segment.options.timestamps, let echo = echoedTime(timestamps.echoReply, now: now) else {
            return nil
        }
        return max(now - echo + .milliseconds(1), .milliseconds(1))
    }

    mutating func measure(_ sample: TimeAmount, now: NIODeadline) {
        let sample = max(sample, .nanoseconds(1))
        roundTrip.backOffs = 0
        roundTrip.measure(sample, minimumTimeout: configuration.minimumRetransmissionTimeout)
        lossDetection.measured(sample, now: now)
    }

    /// One sample in a round trip goes into RTO (RFC 6298 section 3), all into what looks for the shortest.
    private mutating func takeRoundTrip(_ segment: TCPSegment, _ delivery: TCPDelivery, isNew: Bool, now: NIODeadline) {
        let isRoundOver = isNew && sendUnacknowledged >= flightRoundEnd
        // Karn's algorithm: what lay behind a gap until it was filled may have arrived long before.
        if let sentAt = delivery.sentOnceAt, !delivery.acknowledgedRetransmission {
            let sample = max(now - sentAt, .nanoseconds(1))
            lossDetection.measured(sample, now: now)
            congestion.measured(sample, acknowledged: sendUnacknowledged, sendNext: sendNext)
            if isRoundOver { measure(sample, now: now) }
        } else if isRoundOver, let sample = echoedRoundTrip(segment, now: now) {
            measure(sample, now: now)
        }
    }

    // MARK: What was lost

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
    private mutating func countDuplicates(
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
    private mutating func endTailLossProbe(
        _ segment: TCPSegment, isNew: Bool, isDuplicateReported: Bool, flight: Int
    ) {
        guard let probe = lossDetection.probe, segment.acknowledgmentNumber >= probe.end else { return }
        if !probe.isRetransmission || isDuplicateReported {
            lossDetection.probe = nil
        } else if segment.acknowledgmentNumber > probe.end {
            lossDetection.probe = nil
            if case .none = recovery {
                congestion.reduce(flight: flight, segment: segmentSize)
                congestion.set(window: congestion.slowStartThreshold, segment: segmentSize)
            }
        } else if !isNew, segment.length == 0, segment.options.sackBlocks.isEmpty {
            lossDetection.probe = nil
        }
    }

    // MARK: Recovery

    mutating func enterRecoveryIfNeeded(flight: Int) {
        guard retransmissions.lostLength > 0 else { return }
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
        recoveryPoint = sendNext
        congestion.reduce(flight: flight, segment: segmentSize)
        return ProportionalRateReduction(flight: flight)
    }

    /// RFC 3168 section 6.1.2: as for a loss, once in a round trip.
    private mutating func congestionExperienced(flight: Int) {
        guard case .none = recovery else { return }
        recovery = .congestionExperienced(reduceProportionally(flight: flight))
        conditions.insert(.confirmsReduction)
    }

    /// The window after an acknowledgment.
    private mutating func adjustWindow(_ delivery: TCPDelivery, isNew: Bool, isProgressing: Bool, now: NIODeadline) {
        let isOver = isNew && sendUnacknowledged >= recoveryPoint
        var isAfterTimeout = false
        switch recovery {
        case .none:
            break
        case .timeout:
            isAfterTimeout = true
            if isOver { recovery = .none }
        case .fast, .congestionExperienced:
            if isOver {
                if isRecovering { lossDetection.recoveryEnded() }
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
        if conditions.contains(.windowLimited)
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
    private mutating func undoIfSpurious(_ delivery: TCPDelivery, isNew: Bool) {
        guard let first = firstRetransmissionAt else { return }
        let isOriginal =
            isNew && isRecovering && delivery.acknowledgedRetransmission && (delivery.echo.map { $0 <= first } ?? false)
        guard isOriginal || retransmittedLength <= 0 else { return }
        undoRecovery()
        lossDetection.hasSeenReordering = true
    }

    /// F-RTO (RFC 5682 section 2.1): if after a time-out two acknowledgments advance, though only one segment was sent again,
    /// the others had arrived, and the time-out was spurious.
    private mutating func checkTimeout(isNew: Bool, isDuplicate: Bool) {
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

    /// RFC 6298 sections 5.2 and 5.3.
    private mutating func restartTimers(now: NIODeadline) {
        let isIdle = retransmissions.isEmpty
        timers.retransmission = isIdle ? .distantFuture : now + retransmissionTimeout
        timers.tailLossProbe = .distantFuture
        if !isIdle { scheduleTailLossProbe(now: now) }
        if let timeout = configuration.userTimeout {
            timers.user = isIdle && sendBuffer.count == 0 ? .distantFuture : now + timeout
        }
    }

    /// RFC 8985 section 7.2.
    mutating func scheduleTailLossProbe(now: NIODeadline) {
        guard conditions.contains(.selectiveAcknowledgment), case .none = recovery, lossDetection.probe == nil,
            retransmissions.sackedLength == 0
        else { return }
        let probe =
            now
            + lossDetection.probeTimeout(
                smoothed: roundTrip.smoothed, flight: sendNext - sendUnacknowledged, segment: segmentSize)
        timers.tailLossProbe = probe < timers.retransmission ? probe : .distantFuture
    }
}
