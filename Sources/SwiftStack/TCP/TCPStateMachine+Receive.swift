// SEGMENT ARRIVES (RFC 9293 section 3.10.7), but for what it acknowledges.

package import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// SEGMENT ARRIVES. Answers leave with the next `transmit`.
    package mutating func receive(_ segment: TCPSegment, now: NIODeadline) {
        drop = nil
        switch state {
        case .closed: return
        case .synSent: receiveInSYNSent(segment, now: now)
        default: receiveSynchronized(segment, now: now)
        }
    }

    // MARK: The handshake

    /// Section 3.10.7.3.
    private mutating func receiveInSYNSent(_ segment: TCPSegment, now: NIODeadline) {
        let acknowledges = segment.flags.contains(.ack)
        if segment.flags.contains(.rst) {
            // Only one that knows our number is believed.
            if acknowledges, segment.acknowledgmentNumber == sendNext { end(.refused) } else { drop = .reset }
            return
        }
        if acknowledges, segment.acknowledgmentNumber != sendNext { return answerWithReset(segment) }
        guard segment.flags.contains(.syn) else { return drop = .sequence }
        takeSYN(segment, now: now)
        guard acknowledges else {
            // Both have opened at once (section 3.5, figure 7).
            state = .synReceived
            pending.insert(.syn)
            return
        }
        establish(segment, now: now)
        pending.insert(.acknowledgment)
        if segment.length > 1, state != .closed {
            var rest = segment
            rest.sequenceNumber += 1
            rest.flags.remove(.syn)
            receiveText(rest, now: now)
        }
    }

    /// Learns what the peer's SYN says.
    mutating func takeSYN(_ syn: TCPSegment, now: NIODeadline) {
        let options = syn.options
        receiveNext = syn.sequenceNumber + 1
        lastAcknowledgment = receiveNext
        receiveWindowEdge = receiveNext
        let announced = options.maximumSegmentSize.map(Int.init) ?? configuration.defaultMaximumSegmentSize
        sendMaximumSegmentSize = max(min(announced, configuration.maximumSegmentSize), Self.smallestMaximumSegmentSize)
        if configuration.offersWindowScale, let scale = options.windowScale {
            // RFC 7323 section 2.3.
            sendWindowScale = min(scale, 14)
            receiveWindowScale = min(configuration.windowScale, 14)
        }
        if configuration.offersTimestamps, let timestamps = options.timestamps {
            conditions.insert(.timestamps)
            recentTimestamp = timestamps.value
            recentTimestampAt = now
        }
        if configuration.offersSelectiveAcknowledgment, options.selectiveAcknowledgmentPermitted {
            conditions.insert(.selectiveAcknowledgment)
        }
        // RFC 3168 section 6.1.1: ECE and CWR ask for ECN, ECE alone in a SYN-ACK grants it.
        let echoes = segmentFlags(syn, .ece)
        let reduces = segmentFlags(syn, .cwr)
        if syn.flags.contains(.ack) ? configuration.offersECN && echoes && !reduces : echoes && reduces {
            conditions.insert(.ecn)
        }
        // The window of a SYN is never scaled.
        sendWindow = Int(syn.window)
        largestSendWindow = sendWindow
        sendWindowSequence = syn.sequenceNumber
        sendWindowAcknowledgment = syn.flags.contains(.ack) ? syn.acknowledgmentNumber : sendUnacknowledged
    }

    private func segmentFlags(_ segment: TCPSegment, _ flag: TCPHeader.Flags) -> Bool { segment.flags.contains(flag) }

    /// Our SYN is acknowledged.
    private mutating func establish(_ segment: TCPSegment, now: NIODeadline) {
        let backOffs = roundTrip.backOffs
        // Karn's algorithm, unless timestamps tell which SYN was answered (RFC 6298 section 3).
        if backOffs == 0, !conditions.contains(.synRepeated) {
            measure(now - lastSentAt, isRoundOver: true, now: now)
        } else if let sample = echoedRoundTrip(segment, now: now) {
            measure(sample, isRoundOver: true, now: now)
        } else if backOffs > 0 {
            roundTrip.assumeSlowPath()
        }
        let initialWindow =
            backOffs > 1 ? segmentSize : CongestionController.initialWindow(segment: segmentSize)
        congestion = CongestionController(configuration.congestionControl, window: initialWindow)
        roundTrip.backOffs = 0
        unansweredTimeouts = 0
        sendUnacknowledged = sendNext
        flightRoundEnd = sendNext
        timers.retransmission = .distantFuture
        pending.remove(.syn)
        state = conditions.contains(.writeClosed) ? .finWait1 : .established
        events.insert(.opened)
        startKeepAlive(now: now)
    }

    // MARK: Synchronized states

    /// Section 3.10.7.4.
    private mutating func receiveSynchronized(_ segment: TCPSegment, now: NIODeadline) {
        let flags = segment.flags
        guard !isOld(segment, now: now), isAcceptable(segment) else { return answerUnacceptable(segment, now: now) }
        if flags.contains(.rst) { return receiveReset(segment, now: now) }
        // RFC 5961 section 4.2. The SYN of a simultaneous opening is one that has come before, and lies before the window.
        if flags.contains(.syn) { return challenge(.synchronized, now: now) }
        guard flags.contains(.ack) else { return drop = .acknowledgment }
        if let timestamps = segment.options.timestamps, conditions.contains(.timestamps),
            segment.sequenceNumber <= lastAcknowledgment
        {
            // RFC 7323 section 4.3: what is to be echoed. That it is not older was seen above, or it has outlived its use.
            recentTimestamp = timestamps.value
            recentTimestampAt = now
        }
        lastReceivedAt = now
        keepAliveProbesSent = 0
        if state == .synReceived {
            guard segment.acknowledgmentNumber == sendNext else { return answerWithReset(segment) }
            establish(segment, now: now)
        }
        guard acknowledge(segment, now: now) else { return }
        advanceState(now: now)
        if state != .closed { receiveText(segment, now: now) }
    }

    /// PAWS (RFC 7323 section 5.3): a timestamp from before what has arrived since, unless that is 24 days old (section
    /// 5.5). A segment without any is dropped as well (section 3.2). Resets are never (section 5.2).
    private func isOld(_ segment: TCPSegment, now: NIODeadline) -> Bool {
        guard conditions.contains(.timestamps), !segment.flags.contains(.rst) else { return false }
        guard let timestamps = segment.options.timestamps else { return !segment.flags.contains(.syn) }
        return Int32(bitPattern: timestamps.value &- recentTimestamp) < 0 && now - recentTimestampAt < .hours(24 * 24)
    }

    /// Section 3.4, table 6, with two allowances: where the window is closed, what begins at RCV.NXT may still acknowledge,
    /// and a segment without data may be at the edge, where that of a peer is that has filled the window.
    private func isAcceptable(_ segment: TCPSegment) -> Bool {
        let start = segment.sequenceNumber
        let length = segment.length
        if start == receiveNext { return true }
        if length == 0 { return receiveNext < start && start <= receiveWindowEdge }
        return start < receiveWindowEdge && start + length > receiveNext
    }

    private mutating func answerUnacceptable(_ segment: TCPSegment, now: NIODeadline) {
        guard !segment.flags.contains(.rst) else { return drop = .reset }
        if state == .synReceived, segment.flags.contains(.syn), segment.sequenceNumber + 1 == receiveNext {
            return receiveSYNAgain(segment, now: now)
        }
        let isOld = isOld(segment, now: now)
        if isOld, segment.options.timestamps == nil { return drop = .timestamp }
        // A retransmitted FIN: the peer has not seen our acknowledgment (section 3.10.7.4, TIME-WAIT).
        if state == .timeWait, segment.flags.contains(.fin) { timers.wait = now + configuration.timeWait }
        guard segment.length > 0, !segment.flags.contains(.syn) else {
            if !isOld, segment.flags == .ack, segment.sequenceNumber + 1 == receiveNext { return answerProbe(now: now) }
            // Limited, so that two who misunderstand each other don't go on for ever.
            return challenge(isOld ? .timestamp : segment.flags.contains(.syn) ? .synchronized : .sequence, now: now)
        }
        drop = isOld ? .timestamp : segment.sequenceNumber < receiveNext ? .duplicate : .window
        if segment.sequenceNumber < receiveNext {
            noteDuplicate(segment.sequenceNumber, upTo: segment.sequenceNumber + segment.length)
        }
        pending.insert(.acknowledgment)
    }

    /// In SYN-RECEIVED: from a peer that has not seen our SYN-ACK, or is opening as well.
    private mutating func receiveSYNAgain(_ segment: TCPSegment, now: NIODeadline) {
        if !conditions.contains(.passive) {
            receiveCrossedSYN(segment, now: now)
        } else if segment.flags.contains(.ack) {
            challenge(.synchronized, now: now)
        } else {
            conditions.insert(.synRepeated)
            pending.insert(.syn)
        }
    }

    /// A simultaneous opening whose SYN-ACK repeats the SYN that was already taken: only its acknowledgment is news.
    private mutating func receiveCrossedSYN(_ segment: TCPSegment, now: NIODeadline) {
        guard segment.flags.contains(.ack), segment.acknowledgmentNumber == sendNext else {
            pending.insert(.syn)
            return
        }
        establish(segment, now: now)
        pending.insert(.acknowledgment)
        sendWindow = Int(segment.window)
    }

    /// RFC 5961 section 3.2: only a reset at RCV.NXT is obeyed.
    private mutating func receiveReset(_ segment: TCPSegment, now: NIODeadline) {
        guard segment.sequenceNumber == receiveNext else { return challenge(.reset, now: now) }
        switch state {
        case .synReceived: end(.refused)
        case .closing: end(nil)
        // Old duplicates must not end it (RFC 1337 section 3).
        case .timeWait: drop = .reset
        default: end(.reset)
        }
    }

    /// An acknowledgment that lets a peer who is one prove it: ten in five seconds (RFC 5961 section 7).
    mutating func challenge(_ reason: DropReason, now: NIODeadline) {
        drop = reason
        if challenges.allows(at: now, burst: 10, every: .milliseconds(500)) { pending.insert(.acknowledgment) }
    }

    /// RFC 9293 section 3.8.4: a keep-alive probe.
    private mutating func answerProbe(now: NIODeadline) {
        drop = .sequence
        if probeAnswers.allows(at: now, burst: 10, every: .milliseconds(500)) { pending.insert(.acknowledgment) }
    }

    private mutating func answerWithReset(_ segment: TCPSegment) {
        drop = .acknowledgment
        resetSequence = segment.acknowledgmentNumber
        pending.insert(.strayReset)
    }

    /// Our FIN may have been acknowledged.
    private mutating func advanceState(now: NIODeadline) {
        guard conditions.contains(.finAcknowledged) else { return }
        switch state {
        case .finWait1:
            state = .finWait2
            // Nobody reads: the peer's FIN is not waited for without end.
            if conditions.contains(.readClosed) { timers.wait = now + configuration.timeWait }
        case .closing: enterTimeWait(now: now)
        case .lastAck: end(nil)
        default: break
        }
    }

    private mutating func enterTimeWait(now: NIODeadline) {
        state = .timeWait
        timers = TCPTimers()
        timers.wait = now + configuration.timeWait
    }

    // MARK: Data

    /// The seventh and eighth step of section 3.10.7.4: data, and the FIN behind them. Urgent data stay in the stream
    /// (RFC 6093).
    private mutating func receiveText(_ segment: TCPSegment, now: NIODeadline) {
        let length = segment.payload.readableBytes
        if conditions.contains(.ecn) {
            // RFC 3168 section 6.1.3.
            if segment.flags.contains(.cwr) { conditions.remove(.echoesCongestion) }
            if segment.congestionExperienced { conditions.insert(.echoesCongestion) }
        }
        let hasFIN = segment.flags.contains(.fin)
        guard length > 0 || hasFIN else { return }
        guard receivesData else {
            // The peer has closed: what comes is a retransmission of what is known.
            drop = segment.sequenceNumber < receiveNext ? .duplicate : .sequence
            pending.insert(.acknowledgment)
            return
        }
        let end = segment.sequenceNumber + length
        if conditions.contains(.readClosed), end > receiveNext, length > 0 {
            // Section 3.6.1: nobody will read this.
            drop = .closed
            self.end(nil)
            pending = .reset
            return
        }
        if length > 0 { receivePayload(segment, now: now) }
        if hasFIN {
            if end < receiveWindowEdge {
                peerFinSequence = end
            } else {
                drop = .window
                pending.insert(.acknowledgment)
            }
        }
        if let fin = peerFinSequence, fin == receiveNext { receiveFIN(now: now) }
    }

    private mutating func receivePayload(_ segment: TCPSegment, now: NIODeadline) {
        let start = segment.sequenceNumber
        let length = segment.payload.readableBytes
        measureSegmentSize(segment)
        if start == receiveNext, start + length <= receiveWindowEdge, reassembly.isEmpty {
            receiveBuffer.append(segment.payload)
            receiveNext += length
            events.insert(.canRead)
            // Every second segment of full size (section 3.8.6.3).
            if receiveNext - lastAcknowledgment >= 2 * receiveMaximumSegmentSize {
                pending.insert(.acknowledgment)
            } else if timers.acknowledgment == .distantFuture {
                timers.acknowledgment = now + configuration.acknowledgmentDelay
            }
            return
        }
        // Out of order, or what fills a gap: told at once (RFC 5681 section 4.2).
        pending.insert(.acknowledgment)
        let first = start < receiveNext ? receiveNext : start
        let last = start + length > receiveWindowEdge ? receiveWindowEdge : start + length
        if last < start + length { drop = .window }
        if start < receiveNext { noteDuplicate(start, upTo: first < start + length ? first : start + length) }
        guard first < last,
            let slice = segment.payload.getSlice(
                at: segment.payload.readerIndex + (first - start), length: last - first)
        else { return }
        let payload = slice.kept(of: length)
        if first == receiveNext {
            fillGap(with: payload)
        } else {
            let (isWhole, duplicate) = reassembly.insert(payload, at: first)
            if !isWhole { drop = .outOfOrder }
            if duplicate == SACKBlock(left: first.rawValue, right: last.rawValue) { drop = .duplicate }
            if self.duplicate == nil { self.duplicate = duplicate }
        }
    }

    /// A peer's segments may have got shorter: two alike in a row are full-sized, unless they end what was written.
    private mutating func measureSegmentSize(_ segment: TCPSegment) {
        let size = min(segment.payload.readableBytes / max(segment.count, 1), configuration.maximumSegmentSize)
        if size >= receiveMaximumSegmentSize
            || (size == lastReceivedSegmentSize && size >= Self.smallestMaximumSegmentSize)
        {
            receiveMaximumSegmentSize = size
        }
        lastReceivedSegmentSize = segment.flags.contains(.psh) ? 0 : size
    }

    /// `payload` begins at RCV.NXT. Where something is there that it overlaps, that is kept.
    private mutating func fillGap(with payload: ByteBuffer) {
        let total = payload.readableBytes
        var payload = payload
        while payload.readableBytes > 0 {
            let gap = reassembly.firstStart.map { max($0 - receiveNext, 0) } ?? payload.readableBytes
            if let part = payload.readSlice(length: min(gap, payload.readableBytes)), part.readableBytes > 0 {
                receiveBuffer.append(part.kept(of: total))
                receiveNext += part.readableBytes
            }
            while let bytes = reassembly.removeFirst(at: receiveNext) {
                receiveBuffer.append(bytes)
                receiveNext += bytes.readableBytes
                payload.moveReaderIndex(forwardBy: min(bytes.readableBytes, payload.readableBytes))
            }
        }
        reassembly.dropBlocks(before: receiveNext)
        events.insert(.canRead)
    }

    private mutating func receiveFIN(now: NIODeadline) {
        receiveNext += 1
        peerFinSequence = nil
        conditions.insert(.peerFinished)
        reassembly.removeAll()
        pending.insert(.acknowledgment)
        events.insert(.canRead)
        switch state {
        case .established: state = .closeWait
        case .finWait1: state = .closing
        case .finWait2: enterTimeWait(now: now)
        default: break
        }
    }

    /// Of what arrived twice, the next acknowledgment tells the first (RFC 2883 section 4).
    private mutating func noteDuplicate(_ start: TCPSequenceNumber, upTo end: TCPSequenceNumber) {
        if duplicate == nil { duplicate = SACKBlock(left: start.rawValue, right: end.rawValue) }
    }
}
