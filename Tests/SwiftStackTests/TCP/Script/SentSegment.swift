// A segment that the machine has sent, as its peer sees it: numbers relative to where they began.

import NetstackCore
import SwiftStack

struct SentSegment {
    /// In nanoseconds of virtual time.
    let time: Int64
    /// The data; a SYN before them or a FIN behind has no place here.
    let sequence: Range<Int>
    let acknowledgment: Int?
    let flags: TCPHeader.Flags
    let window: UInt16
    let options: TCPOptions
    let isECNCapable: Bool
    let starts: SequenceStarts

    /// What the peer has when it has this.
    var end: Int { sequence.upperBound + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0) }

    /// The pieces that a link makes of `segment`: as long as its maximum segment size says (see `TCPOutgoingSegment`), FIN and PSH
    /// on the last, CWR on the first.
    static func pieces(of segment: TCPOutgoingSegment, whole: Bool, time: Int64, starts: SequenceStarts)
        -> [SentSegment]
    {
        let length = whole ? max(segment.payloadLength, 1) : max(segment.maximumSegmentSize, 1)
        let start = segment.sequenceNumber - starts.machine
        var pieces: [SentSegment] = []
        var offset = 0
        repeat {
            let count = min(length, segment.payloadLength - offset)
            var flags = segment.flags
            if offset > 0 { flags.remove(.cwr) }
            if offset + count < segment.payloadLength { flags.subtract([.fin, .psh]) }
            pieces.append(
                SentSegment(
                    time: time, sequence: start + offset..<start + offset + count,
                    acknowledgment: flags.contains(.ack) ? segment.acknowledgmentNumber - starts.peer : nil,
                    flags: flags, window: segment.window, options: segment.options, isECNCapable: segment.isECNCapable,
                    starts: starts))
            offset += count
        } while offset < segment.payloadLength
        return pieces
    }
}

extension SentSegment: CustomStringConvertible {
    var description: String {
        var text = "\(SegmentPattern.text(of: flags)) \(sequence.lowerBound):\(sequence.upperBound)(\(sequence.count))"
        if let acknowledgment { text += " ack \(acknowledgment)" }
        text += " win \(window)"
        var list: [String] = []
        if let size = options.maximumSegmentSize { list.append("mss \(size)") }
        if options.selectiveAcknowledgmentPermitted { list.append("sackOK") }
        if let timestamps = options.timestamps {
            list.append("TS val \(timestamps.value) ecr \(timestamps.echoReply &- starts.peerClock)")
        }
        if let scale = options.windowScale { list.append("wscale \(scale)") }
        if !sackBlocks.isEmpty {
            list.append("sack " + sackBlocks.map { "\($0.lowerBound):\($0.upperBound)" }.joined(separator: " "))
        }
        return text + (list.isEmpty ? "" : " <\(list.joined(separator: ","))>") + (isECNCapable ? " ect" : "")
    }

    var sackBlocks: [Range<Int>] {
        options.sackBlocks.map { block in
            let left = TCPSequenceNumber(block.left) - starts.peer
            return left..<max(left, TCPSequenceNumber(block.right) - starts.peer)
        }
    }
}

extension SentSegment {
    /// What of `pattern` it does not fulfil. A name that is met for the first time is given its value.
    func difference(from pattern: SegmentPattern, names: inout [String: UInt32]) -> String? {
        let ignored: TCPHeader.Flags = pattern.allowsAcknowledgment ? [.psh, .ack] : .psh
        if !pattern.allowsAnyFlags, flags.subtracting(ignored) != pattern.flags.subtracting(ignored) {
            return "other flags"
        }
        if pattern.flags.contains(.psh), !flags.contains(.psh) { return "no PSH" }
        if pattern.forbidsPush, flags.contains(.psh) { return "PSH" }
        if let expected = pattern.sequence, expected != sequence { return "other sequence numbers" }
        if let expected = pattern.length, !expected.range.contains(sequence.count) { return "other length" }
        if let expected = pattern.acknowledgment, expected != acknowledgment { return "other acknowledgment" }
        if let expected = pattern.window, !expected.range.contains(Int(window)) { return "other window" }
        if let expected = pattern.isECNCapable, expected != isECNCapable { return "other ECN field" }
        return difference(from: pattern.options, names: &names)
    }

    private func difference(from pattern: SegmentPattern.Options, names: inout [String: UInt32]) -> String? {
        if let expected = pattern.maximumSegmentSize, options.maximumSegmentSize != UInt16(clamping: expected) {
            return "other MSS"
        }
        if let expected = pattern.windowScale, options.windowScale != UInt8(clamping: expected) { return "other scale" }
        if pattern.selectiveAcknowledgmentPermitted, !options.selectiveAcknowledgmentPermitted {
            return "no SACK-permitted"
        }
        if pattern.hasTimestamps, options.timestamps == nil { return "no timestamps" }
        if let expected = pattern.timestampValue, !isEqual(options.timestamps?.value, expected, &names) {
            return "other TSval"
        }
        if let expected = pattern.timestampEcho, !isEqual(options.timestamps?.echoReply, expected, &names) {
            return "other TSecr"
        }
        if !pattern.sackBlocks.isEmpty, pattern.sackBlocks != sackBlocks { return "other SACK blocks" }
        let present: [(String, Bool)] = [
            ("mss", options.maximumSegmentSize != nil), ("wscale", options.windowScale != nil),
            ("sackOK", options.selectiveAcknowledgmentPermitted), ("TS", options.timestamps != nil),
            ("sack", !sackBlocks.isEmpty),
        ]
        for (name, isPresent) in present where isPresent && pattern.absent.contains(name) {
            return "an option that must not be there: \(name)"
        }
        return nil
    }

    private func isEqual(
        _ value: UInt32?, _ expected: SegmentPattern.Timestamp, _ names: inout [String: UInt32]
    ) -> Bool {
        guard let value else { return false }
        switch expected {
        case .number(let number): return value == starts.peerClock &+ UInt32(truncatingIfNeeded: number)
        case .zero: return value == 0
        case .name(let name, let more):
            let known = names[name] ?? value &- more
            names[name] = known
            return known &+ more == value
        }
    }
}
