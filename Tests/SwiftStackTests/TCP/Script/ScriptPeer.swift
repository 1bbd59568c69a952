// What a script's peer knows of the conversation: fills in what an injected segment leaves out, and sees to it that every
// segment of the machine is one that RFC 9293 lets it send, whether or not the script looks.

import NIOCore
import NetstackCore
import SwiftStack

struct ScriptPeer {
    let starts: SequenceStarts
    /// SND.NXT, relative: one beyond the last that has been injected.
    private(set) var next = 0
    private var acknowledgment = 0
    private var hasSYN = false
    private var window: UInt16 = 65535
    private var windowScale: UInt8?
    private var maximumSegmentSize: Int?
    private var saysTimestamps = false
    /// The right edge of the widest window the machine was ever given.
    private var rightEdge = 0

    // Of the machine.
    private var machineWindowScale: UInt8?
    private var machineSaysTimestamps = false
    private var machineTimestamp: UInt32 = 0
    private var highestSent = 0
    private var highestAcknowledgment: Int?
    private var highestRightEdge = Int.min

    /// A machine may refuse to make segments any smaller, whatever its peer announces.
    private static let leastSegmentSize = 88

    init(starts: SequenceStarts) { self.starts = starts }

    /// Bytes of the machine on their way.
    var flight: Int { highestSent - acknowledgment }

    private var scales: Bool { windowScale != nil && machineWindowScale != nil }

    /// The segment that `pattern` describes, at `time`.
    mutating func segment(_ pattern: SegmentPattern, time: Int64, names: [String: UInt32]) throws(ScriptParser.Fault)
        -> TCPSegment
    {
        let start = pattern.sequence?.lowerBound ?? next
        var segment = TCPSegment(sequenceNumber: starts.peer + start, flags: pattern.flags)
        let isSYN = pattern.flags.contains(.syn)
        if let count = pattern.sequence?.count, count > 0 {
            segment.payload = ScriptContent.ofPeer.bytes(at: start + (isSYN ? 1 : 0) - 1, count: count)
            if pattern.hasOtherBytes {
                segment.payload = ByteBuffer(bytes: segment.payload.readableBytesView.map { ~$0 })
            }
        }
        if pattern.flags.contains(.ack) {
            acknowledgment = pattern.acknowledgment ?? acknowledgment
            segment.acknowledgmentNumber = starts.machine + acknowledgment
        }
        if let bound = pattern.window { window = UInt16(clamping: bound.range.lowerBound) }
        segment.window = window
        segment.count = pattern.count
        segment.congestionExperienced = pattern.congestionExperienced
        if segment.length > 0 { next = max(next, start + segment.length) }
        segment.options = try options(pattern, time: time, names: names)
        // What a later SYN says is not agreed upon.
        if isSYN, !hasSYN {
            hasSYN = true
            maximumSegmentSize = pattern.options.maximumSegmentSize
            windowScale = pattern.options.windowScale.map { UInt8(clamping: $0) }
            saysTimestamps = pattern.options.hasTimestamps
        }
        if pattern.flags.contains(.ack) {
            let shift = scales && !isSYN ? min(windowScale ?? 0, 14) : 0
            rightEdge = max(rightEdge, acknowledgment + Int(window) << shift)
        }
        return segment
    }

    private func options(
        _ pattern: SegmentPattern, time: Int64, names: [String: UInt32]
    ) throws(ScriptParser.Fault) -> TCPOptions {
        var options = TCPOptions()
        options.maximumSegmentSize = pattern.options.maximumSegmentSize.map { UInt16(clamping: $0) }
        options.windowScale = pattern.options.windowScale.map { UInt8(clamping: $0) }
        options.selectiveAcknowledgmentPermitted = pattern.options.selectiveAcknowledgmentPermitted
        for block in pattern.options.sackBlocks {
            options.sackBlocks.append(
                .init(
                    left: (starts.machine + block.lowerBound).rawValue,
                    right: (starts.machine + block.upperBound).rawValue))
        }
        let both = saysTimestamps && machineSaysTimestamps && !pattern.flags.contains(.syn)
        if pattern.options.hasTimestamps || both && !pattern.options.absent.contains("TS") {
            let value =
                try number(pattern.options.timestampValue, names) ?? starts.peerClock &+ UInt32(1000 + time / 1_000_000)
            let echo = try number(pattern.options.timestampEcho, names) ?? machineTimestamp
            options.timestamps = .init(value: value, echoReply: echo)
        }
        return options
    }

    private func number(
        _ timestamp: SegmentPattern.Timestamp?, _ names: [String: UInt32]
    ) throws(ScriptParser.Fault) -> UInt32? {
        switch timestamp {
        case nil: return nil
        case .number(let number): return starts.peerClock &+ UInt32(truncatingIfNeeded: number)
        case .zero: return 0
        case .name(let name, let more):
            guard let value = names[name] else { throw .init("\(name) has no value yet") }
            return value &+ more
        }
    }
}

// MARK: - What every segment has to keep to

extension ScriptPeer {
    /// What is wrong with a segment that the machine sends, if anything is.
    mutating func fault(_ segment: TCPOutgoingSegment, payload: ByteBuffer, configuration: TCPConfiguration) -> String?
    {
        let start = segment.sequenceNumber - starts.machine
        let isSYN = segment.flags.contains(.syn)
        let end = start + segment.payloadLength + (isSYN ? 1 : 0) + (segment.flags.contains(.fin) ? 1 : 0)
        if segment.options.encodedLength > 40 || segment.options.encodedLength % 4 != 0 {
            return "options of impossible length"
        }
        // RFC 9293 section 3.7.1 (MUST-65), RFC 7323 section 2.2, RFC 2018 section 2: these belong to SYNs.
        if !isSYN,
            segment.options.maximumSegmentSize != nil || segment.options.windowScale != nil
                || segment.options.selectiveAcknowledgmentPermitted
        {
            return "an option that belongs to a SYN"
        }
        if segment.flags.contains(.rst) { return segment.payloadLength == 0 ? nil : "a reset with data" }
        if isSYN, start != 0 { return "a SYN belongs at 0" }
        if start > highestSent { return "leaves a hole: \(highestSent) is the next" }
        if segment.payloadLength > 0 {
            if segment.payloadLength > configuration.maximumOutgoingLength {
                return "longer than maximumOutgoingLength"
            }
            if payload != ScriptContent.ofMachine.bytes(at: start - 1, count: segment.payloadLength) {
                return "other bytes"
            }
            // RFC 9293 section 3.7.1, MUST-16: options count against what the peer takes (RFC 6691).
            let limit = min(
                maximumSegmentSize ?? configuration.defaultMaximumSegmentSize, configuration.maximumSegmentSize)
            let piece = min(segment.maximumSegmentSize, segment.payloadLength)
            if piece <= 0 || piece + segment.options.encodedLength > max(limit, Self.leastSegmentSize) {
                return "longer than the peer's MSS"
            }
            // RFC 9293 section 3.8.6: beyond the window only probes of a byte.
            if start + segment.payloadLength > rightEdge + 1 { return "beyond the window, which ends at \(rightEdge)" }
        }
        highestSent = max(highestSent, end)
        if isSYN {
            machineWindowScale = segment.options.windowScale
            machineSaysTimestamps = segment.options.timestamps != nil
        }
        // RFC 7323 section 3.2: once agreed upon, in every segment.
        if saysTimestamps && machineSaysTimestamps && segment.options.timestamps == nil { return "no timestamps" }
        machineTimestamp = segment.options.timestamps?.value ?? machineTimestamp
        return segment.flags.contains(.ack) ? acknowledgmentFault(segment) : nil
    }

    private mutating func acknowledgmentFault(_ segment: TCPOutgoingSegment) -> String? {
        let acknowledged = segment.acknowledgmentNumber - starts.peer
        if let highestAcknowledgment, acknowledged < highestAcknowledgment { return "the acknowledgment goes back" }
        if acknowledged > next { return "acknowledges what was not sent" }
        highestAcknowledgment = acknowledged
        // RFC 9293 section 3.8.6, SHLD-14; scaling may round it down (RFC 7323 section 2.4).
        let shift = scales && !segment.flags.contains(.syn) ? min(machineWindowScale ?? 0, 14) : 0
        let edge = acknowledged + Int(segment.window) << shift
        if edge + (1 << shift) <= highestRightEdge {
            return "the right edge of the window moves back by \(highestRightEdge - edge)"
        }
        highestRightEdge = max(highestRightEdge, edge)
        return nil
    }
}
