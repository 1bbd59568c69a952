// What an acknowledgment tells: what has arrived, what was lost, and how much more may be sent.

import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// The fifth step of RFC 9293 section 3.10.7.4. Returns whether the rest of the segment is to be looked at.
    mutating func acknowledge(_ segment: TCPSegment, now: NIODeadline) -> Bool {
        let acknowledgment = segment.acknowledgmentNumber
        guard acknowledgment <= sendNext else {
            challenge(.acknowledgment, now: now)
            return false
        }
        guard acknowledgment >= sendUnacknowledged else {
            // RFC 5961 section 5.2: older than any window.
            let age = sendUnacknowledged.rawValue &- acknowledgment.rawValue
            guard age <= UInt32(clamping: largestSendWindow) else {
                challenge(.acknowledgment, now: now)
                return false
            }
            return true
        }
        let isWindowSame = updateSendWindow(segment, now: now)
        // Of what has all arrived, a duplicate may still be reported.
        guard !retransmissions.isEmpty || !segment.options.sackBlocks.isEmpty else { return true }

        let isNew = acknowledgment > sendUnacknowledged
        let flight = sendNext - sendUnacknowledged
        let echo = segment.options.timestamps.flatMap { echoedTime($0.echoReply, now: now) }
        var delivery = TCPDelivery(now: now, minimumRoundTrip: lossDetection.minimumRoundTrip, echo: echo)
        if isNew { advance(to: acknowledgment, &delivery, now: now) }
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
        // One that comes with data is none by RFC 5681 section 2, but where it reports what has arrived.
        let reportsArrivals = !segment.options.sackBlocks.isEmpty && !isDuplicateReported
        checkTimeout(isNew: isNew, isDuplicate: !isNew && (segment.length == 0 || reportsArrivals))
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
    private mutating func advance(
        to acknowledgment: TCPSequenceNumber, _ delivery: inout TCPDelivery, now: NIODeadline
    ) {
        let length = acknowledgment - sendUnacknowledged
        retransmissions.acknowledge(upTo: acknowledgment, &delivery)
        if length > sendBuffer.count { conditions.insert(.finAcknowledged) }
        sendBuffer.removeFirst(length)
        sendUnacknowledged = acknowledgment
        unansweredTimeouts = 0
        forgetOldMarks()
        endPathProbe(now: now)
        // Karn's algorithm: what was sent again and is acknowledged says nothing of the path (RFC 6298 section 5.7).
        if !delivery.acknowledgedRetransmission { roundTrip.backOffs = 0 }
    }

    /// What lies two gibibytes behind would count as ahead.
    private mutating func forgetOldMarks() {
        if sendUnacknowledged - recoveryPoint > 1 << 30 { recoveryPoint = sendUnacknowledged - 1 }
        // A window later no duplicate of what was sent again is still on its way.
        if case .none = recovery, sendUnacknowledged - recoveryPoint > largestSendWindow { firstRetransmissionAt = nil }
        if shortSegmentEnd < sendUnacknowledged { shortSegmentEnd = sendUnacknowledged }
        lossDetection.acknowledged(upTo: sendUnacknowledged)
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
        guard left < right, right <= sendNext, left < segment.acknowledgmentNumber || isInSecond else { return false }
        lossDetection.noteDuplicate(acknowledged: segment.acknowledgmentNumber, sendNext: sendNext)
        // Only of what was sent again it says that there was no need. The network makes duplicates as well.
        if retransmittedLength > 0, retransmittedStart <= left, right <= retransmittedEnd {
            retransmittedLength -= right - left
        }
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

    mutating func measure(_ sample: TimeAmount, isRoundOver: Bool, now: NIODeadline) {
        let sample = max(sample, .nanoseconds(1))
        roundTrip.backOffs = 0
        roundTrip.measure(
            sample, isRoundOver: isRoundOver, minimumVariation: configuration.minimumRetransmissionTimeout)
        lossDetection.measured(sample, now: now)
    }

    /// What the peer says itself is asked once in a round trip: it may echo what it got long before.
    private mutating func takeRoundTrip(_ segment: TCPSegment, _ delivery: TCPDelivery, isNew: Bool, now: NIODeadline) {
        let isRoundOver = isNew && sendUnacknowledged >= flightRoundEnd
        if isRoundOver, case .none = recovery { validateWindow(flight: largestFlight, now: now) }
        // Karn's algorithm: what lay behind a gap until it was filled may have arrived long before.
        if let sentAt = delivery.sentOnceAt, !delivery.acknowledgedRetransmission {
            let sample = max(now - sentAt, .nanoseconds(1))
            measure(sample, isRoundOver: isRoundOver, now: now)
            congestion.measured(sample, acknowledged: sendUnacknowledged, sendNext: sendNext)
        } else if isRoundOver, let sample = echoedRoundTrip(segment, now: now) {
            measure(sample, isRoundOver: true, now: now)
        }
    }

    // MARK: Timers

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
