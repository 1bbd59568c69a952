// What leaves: data, within what the peer and the network take, acknowledgments, and resets.

package import NIOCore
import NetstackCore

extension TCPStateMachine {
    /// Gives `send` what is to be sent now, one segment after the other. Where `send` returns false the link is full: that
    /// segment has not been sent, and no other data are until the next call; an acknowledgment may be.
    package mutating func transmit(now: NIODeadline, _ send: (TCPOutgoingSegment, borrowing TCPSendBuffer) -> Bool) {
        if !pending.isDisjoint(with: [.syn, .reset, .strayReset, .probe]) {
            guard transmitControl(now: now, send) else { return }
        }
        guard state != .closed, state != .synSent else { return }
        if state != .synReceived, state != .timeWait, state != .finWait2 {
            if transmitData(now: now, send) {
                pending.subtract([.override, .tailLossProbe])
                persistIfStuck(now: now)
            } else {
                // What is to be acknowledged does not wait for the link (`NetworkInterface.admits`).
                congestion.heldUpByLink()
            }
        }
        if pending.contains(.acknowledgment) {
            let segment = makeSegment(at: sendNext, .ack, options: makeOptions(now: now))
            guard send(segment, sendBuffer) else { return }
            noteAcknowledged(segment)
        }
    }

    /// Returns false where the link is full.
    private mutating func transmitData(
        now: NIODeadline, _ send: (TCPOutgoingSegment, borrowing TCPSendBuffer) -> Bool
    ) -> Bool {
        while let segment = nextSegment(now: now) {
            guard send(segment, sendBuffer) else { return false }
            noteSent(segment, now: now)
        }
        return true
    }

    // MARK: Segments without data

    /// Returns false where the link is full.
    private mutating func transmitControl(
        now: NIODeadline, _ send: (TCPOutgoingSegment, borrowing TCPSendBuffer) -> Bool
    ) -> Bool {
        if pending.contains(.strayReset) {
            // <SEQ=SEG.ACK><CTL=RST> (RFC 9293 section 3.10.7.3).
            var reset = makeSegment(at: resetSequence, .rst, options: TCPOptions())
            reset.acknowledgmentNumber = TCPSequenceNumber(0)
            reset.window = 0
            guard send(reset, sendBuffer) else { return false }
            pending.remove(.strayReset)
        }
        if pending.contains(.reset) {
            var reset = makeSegment(at: sendNext, [.rst, .ack], options: TCPOptions())
            reset.window = 0
            guard send(reset, sendBuffer) else { return false }
            pending.remove(.reset)
        }
        if pending.contains(.syn) {
            let syn = makeSYN(now: now)
            guard send(syn, sendBuffer) else { return false }
            if state == .synReceived { noteAcknowledged(syn) }
            pending.remove(.syn)
            if timers.retransmission == .distantFuture {
                lastSentAt = now
                timers.retransmission = now + retransmissionTimeout
            }
        }
        if pending.contains(.probe) {
            // A number that was acknowledged makes every peer answer with what it has and takes (RFC 9293 section 3.8.4).
            let probe = makeSegment(at: sendUnacknowledged - 1, .ack, options: makeOptions(now: now))
            guard send(probe, sendBuffer) else { return false }
            pending.remove(.probe)
            noteAcknowledged(probe)
        }
        return true
    }

    /// A SYN, or the SYN-ACK that answers one: offers are only answered where they were made.
    private mutating func makeSYN(now: NIODeadline) -> TCPOutgoingSegment {
        let isAnswer = state == .synReceived
        var options = TCPOptions()
        options.maximumSegmentSize = UInt16(clamping: configuration.maximumSegmentSize)
        if isAnswer ? receiveWindowScale > 0 || sendWindowScale > 0 : configuration.offersWindowScale {
            options.windowScale = min(configuration.windowScale, 14)
        }
        if isAnswer ? conditions.contains(.timestamps) : configuration.offersTimestamps {
            options.timestamps = .init(value: timestamp(now), echoReply: isAnswer ? recentTimestamp : 0)
        }
        options.selectiveAcknowledgmentPermitted =
            isAnswer ? conditions.contains(.selectiveAcknowledgment) : configuration.offersSelectiveAcknowledgment
        var flags: TCPHeader.Flags = isAnswer ? [.syn, .ack] : .syn
        if isAnswer {
            if conditions.contains(.ecn) { flags.insert(.ece) }
        } else if configuration.offersECN, roundTrip.backOffs < 2 {
            // Not for ever: who drops such a SYN would else never be reached (RFC 3168 section 6.1.1.1).
            flags.formUnion([.ece, .cwr])
        }
        var syn = makeSegment(at: sendUnacknowledged, flags, options: options)
        if !isAnswer { syn.acknowledgmentNumber = TCPSequenceNumber(0) }
        // Never scaled (RFC 7323 section 2.2).
        syn.window = UInt16(clamping: receiveBuffer.room)
        return syn
    }

    // MARK: Data

    /// The next segment with data or a FIN: a probe, then what was lost, then what is new.
    private mutating func nextSegment(now: NIODeadline) -> TCPOutgoingSegment? {
        let unsent = unsentLength
        let isFINDue = conditions.contains(.writeClosed) && !conditions.contains(.finSent)
        guard unsent > 0 || isFINDue || retransmissions.lostLength > 0 || pending.contains(.tailLossProbe) else {
            return nil
        }
        if retransmissions.isEmpty { validateWindow(now: now) }
        let options = makeOptions(now: now)
        let optionsLength = options.encodedLength
        let size = sendMaximumSegmentSize - optionsLength
        var quota = congestion.window - inFlight
        if !windowValidation.isValidated, retransmissions.lostLength == 0, case .none = recovery {
            quota = min(quota, spreadRoom(size: size, unsent: unsent, now: now))
        }
        if pending.contains(.override) || pending.contains(.tailLossProbe) { quota = max(quota, size) }
        if forwardRecovery == .awaitingSecond, sendNext == recoveryPoint,
            lengthOfNew(unsent: unsent, isFINDue: isFINDue, size: size, quota: 2 * size) == nil
        {
            // No new data can be sent: on as after any time-out (RFC 5682 section 2.1 step 2b).
            forwardRecovery = .off
        }
        if forwardRecovery == .awaitingSecond {
            quota = recoveryPoint + 2 * size - sendNext
        } else if let lost = retransmissions.nextLost() {
            return makeRetransmission(of: lost, size: size, quota: quota, options: options)
        }
        if quota >= size, let length = lengthOfPathProbe(unsent: unsent, optionsLength: optionsLength, now: now) {
            return makeNewSegment(length: length, unsent: unsent, isFINDue: isFINDue, size: length, options: options)
        }
        if let length = lengthOfNew(unsent: unsent, isFINDue: isFINDue, size: size, quota: quota) {
            return makeNewSegment(length: length, unsent: unsent, isFINDue: isFINDue, size: size, options: options)
        }
        guard pending.contains(.tailLossProbe), let last = retransmissions.last else { return nil }
        let length = min(size, Int(last.length))
        return makeData(at: last.end - length, length: length, options: options)
    }

    private func makeRetransmission(
        of lost: TCPRetransmissionQueue.Record, size: Int, quota: Int, options: TCPOptions
    ) -> TCPOutgoingSegment? {
        let wanted = Int(lost.length)
        guard quota >= min(size, wanted) else { return nil }
        var length = min(wanted, quota, max(configuration.maximumOutgoingLength, size))
        if length < wanted { length -= length % size }
        return makeData(at: lost.start, length: length, options: options)
    }

    /// How many new bytes leave, if any segment does: what both windows take, and no silly segments (RFC 9293 section
    /// 3.8.6.2.1). Zero for a FIN alone.
    private mutating func lengthOfNew(unsent: Int, isFINDue: Bool, size: Int, quota: Int) -> Int? {
        let usable = sendUnacknowledged + sendWindow - sendNext
        guard unsent > 0 else { return isFINDue && usable > 0 ? 0 : nil }
        guard usable > 0 else { return nil }
        if quota < min(unsent, usable, size) {
            conditions.insert(.windowLimited)
            return nil
        }
        var length = min(unsent, usable, quota, max(configuration.maximumOutgoingLength, size))
        if quota == length, length < unsent { conditions.insert(.windowLimited) }
        if pending.contains(.override) || pending.contains(.tailLossProbe) { return min(length, size) }
        let short = length % size
        if length < unsent {
            // Limited by a window: whole segments, unless half of the largest window ever is all that there will be.
            if length > short { return length - short }
            return length == usable && length >= largestSendWindow / 2 ? length : nil
        }
        if short > 0, !isFINDue, holdsShortSegment { length -= short }
        return length > 0 ? length : nil
    }

    /// Whether a segment that is not full waits: for more of it, for the last such to be acknowledged (Nagle's algorithm,
    /// RFC 9293 section 3.7.4, in Minshall's variant), or because there are very many already.
    private var holdsShortSegment: Bool {
        conditions.contains(.moreToCome) || (!sendsAtOnce && shortSegmentEnd > sendUnacknowledged)
            || retransmissions.count >= Self.maximumRecords
    }

    private static let maximumRecords = 4096

    private mutating func makeNewSegment(
        length: Int, unsent: Int, isFINDue: Bool, size: Int, options: TCPOptions
    ) -> TCPOutgoingSegment {
        let hasFIN = isFINDue && length == unsent && sendUnacknowledged + sendWindow - sendNext > length
        var segment = makeData(at: sendNext, length: length + (hasFIN ? 1 : 0), options: options)
        segment.maximumSegmentSize = size
        segment.isECNCapable = conditions.contains(.ecn) && length > 0
        if conditions.contains(.confirmsReduction), length > 0 { segment.flags.insert(.cwr) }
        return segment
    }

    /// `length` sequence numbers; those beyond the data are a FIN's.
    private func makeData(at start: TCPSequenceNumber, length: Int, options: TCPOptions) -> TCPOutgoingSegment {
        let offset = start - sendUnacknowledged
        let payloadLength = max(min(length, sendBuffer.count - offset), 0)
        var segment = makeSegment(at: start, .ack, options: options)
        segment.payloadOffset = offset
        segment.payloadLength = payloadLength
        if payloadLength < length { segment.flags.insert(.fin) }
        if payloadLength > 0, offset + payloadLength == sendBuffer.count { segment.flags.insert(.psh) }
        return segment
    }

    private mutating func noteSent(_ segment: TCPOutgoingSegment, now: NIODeadline) {
        let hasFIN = segment.flags.contains(.fin)
        let length = segment.payloadLength + (hasFIN ? 1 : 0)
        let isRetransmission = segment.sequenceNumber < sendNext
        if isRetransmission {
            retransmissions.retransmitted(from: segment.sequenceNumber, length: length, now: now)
            pathSearch?.retransmitted(from: segment.sequenceNumber, length: length, now: now)
            if firstRetransmissionAt == nil, isRecovering { firstRetransmissionAt = now }
            let (start, end) = (segment.sequenceNumber, segment.sequenceNumber + length)
            retransmittedStart = retransmittedLength > 0 && retransmittedStart < start ? retransmittedStart : start
            retransmittedEnd = retransmittedLength > 0 && end < retransmittedEnd ? retransmittedEnd : end
            retransmittedLength += length
            // The time-out is for this one from now on: else a long round trip would end every recovery by it.
            if segment.sequenceNumber == sendUnacknowledged { timers.retransmission = now + retransmissionTimeout }
        } else {
            retransmissions.append(.init(start: sendNext, length: UInt32(length), sentAt: now, marks: []))
            if segment.maximumSegmentSize + segment.options.encodedLength > sendMaximumSegmentSize {
                pathSearch?.probe = (sendNext, sendNext + length)
            }
            sendNext += length
            if hasFIN { conditions.insert(.finSent) }
            if segment.flags.contains(.cwr) { conditions.remove(.confirmsReduction) }
            if segment.payloadLength % segment.maximumSegmentSize > 0 { shortSegmentEnd = sendNext }
        }
        recovery.reduction?.sent(length)
        if !windowValidation.isValidated {
            windowValidation.sent(length, window: congestion.window, roundTrip: roundTrip.smoothed ?? .zero, now: now)
        }
        if pending.contains(.tailLossProbe) {
            lossDetection.probe = (sendNext, isRetransmission)
        }
        if sendUnacknowledged >= flightRoundEnd {
            // A round begins, and ends when the first of this is acknowledged.
            flightRoundEnd = segment.sequenceNumber + 1
            largestFlight = inFlight
            conditions.remove(.windowLimited)
        } else {
            largestFlight = max(largestFlight, inFlight)
        }
        lastSentAt = now
        noteAcknowledged(segment)
        if conditions.contains(.persisting) || timers.retransmission == .distantFuture {
            if conditions.contains(.persisting) { roundTrip.backOffs = 0 }
            conditions.remove(.persisting)
            timers.retransmission = now + retransmissionTimeout
        }
        pending.subtract([.override, .tailLossProbe])
        scheduleTailLossProbe(now: now)
    }

    /// Where nothing is in flight, only the peer's window can be what keeps data: it is asked for (RFC 9293 section 3.8.6.1).
    private mutating func persistIfStuck(now: NIODeadline) {
        guard retransmissions.isEmpty, timers.spreading == .distantFuture else { return }
        let isFINDue = conditions.contains(.writeClosed) && !conditions.contains(.finSent)
        if sendBuffer.count > 0 || isFINDue {
            guard !conditions.contains(.persisting) else { return }
            conditions.insert(.persisting)
            timers.retransmission = now + retransmissionTimeout
        } else if conditions.contains(.persisting) {
            conditions.remove(.persisting)
            timers.retransmission = .distantFuture
        }
    }

    // MARK: What all segments have

    func timestamp(_ now: NIODeadline) -> UInt32 {
        timestampOffset &+ UInt32(truncatingIfNeeded: now.uptimeNanoseconds / 1_000_000)
    }

    private func makeOptions(now: NIODeadline) -> TCPOptions {
        var options = TCPOptions()
        if conditions.contains(.timestamps) {
            options.timestamps = .init(value: timestamp(now), echoReply: recentTimestamp)
        }
        guard conditions.contains(.selectiveAcknowledgment), duplicate != nil || !reassembly.blocks.isEmpty else {
            return options
        }
        // A duplicate comes first (RFC 2883 section 4). Beside timestamps there is room for three.
        if let duplicate { options.sackBlocks.append(duplicate) }
        for block in reassembly.blocks
        where options.sackBlocks.count < (conditions.contains(.timestamps) ? 3 : SACKBlocks.capacity) {
            options.sackBlocks.append(block)
        }
        return options
    }

    private func makeSegment(
        at sequence: TCPSequenceNumber, _ flags: TCPHeader.Flags, options: TCPOptions
    ) -> TCPOutgoingSegment {
        var flags = flags
        if conditions.contains(.echoesCongestion), !flags.contains(.syn) { flags.insert(.ece) }
        return TCPOutgoingSegment(
            sequenceNumber: sequence, acknowledgmentNumber: receiveNext, flags: flags, window: windowField,
            options: options, payloadLength: 0, payloadOffset: 0,
            maximumSegmentSize: sendMaximumSegmentSize - options.encodedLength, isECNCapable: false)
    }

    // MARK: The receive window

    /// RCV.WND as the peer knows it, and as there is room for.
    private var offeredWindow: Int { max(receiveWindowEdge - receiveNext, 0) }
    private var largestOffer: Int { min(receiveBuffer.room, Int(UInt16.max) << Int(receiveWindowScale)) }

    /// The window to offer, scaled. Its edge never moves back by more than scaling hides (RFC 9293 section 3.8.6, RFC 7323
    /// section 2.3), nor forward in small steps (section 3.8.6.2.2).
    private var windowField: UInt16 {
        let offered = offeredWindow
        let scale = Int(receiveWindowScale)
        let offer = largestOffer
        let step = min(receiveBuffer.limit / 2, receiveMaximumSegmentSize)
        if offer - offered >= step, (offer >> scale) << scale >= offered { return UInt16(clamping: offer >> scale) }
        return UInt16(clamping: offered >> scale)
    }

    /// Whether the window has opened by so much that the peer is told without being asked: a quarter of all there is, two
    /// segments where it was all but closed.
    var isWindowUpdateDue: Bool {
        let offered = offeredWindow
        let gain = largestOffer - offered
        let segments = 2 * receiveMaximumSegmentSize
        return gain >= receiveBuffer.limit / 2
            || (gain >= segments && (gain >= receiveBuffer.limit / 4 || offered < segments))
    }

    /// Every segment acknowledges.
    private mutating func noteAcknowledged(_ segment: TCPOutgoingSegment) {
        let scale = segment.flags.contains(.syn) ? 0 : Int(receiveWindowScale)
        // What was offered once is taken, though scaling may have hidden the last bytes of it since (RFC 7323 section 2.4).
        let edge = receiveNext + Int(segment.window) << scale
        if edge > receiveWindowEdge { receiveWindowEdge = edge }
        lastAcknowledgment = receiveNext
        duplicate = nil
        timers.acknowledgment = .distantFuture
        pending.remove(.acknowledgment)
    }
}
