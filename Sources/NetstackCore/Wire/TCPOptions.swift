// The options of a TCP segment that a stack of ours understands: those of RFC 9293, RFC 7323 and RFC 2018.

/// What the bytes behind a TCP header say. Nothing in it is allocated.
package struct TCPOptions: Hashable, Sendable {
    package var maximumSegmentSize: UInt16?
    package var windowScale: UInt8?
    package var selectiveAcknowledgmentPermitted = false
    package var timestamps: Timestamps?
    package var sackBlocks = SACKBlocks()

    /// RFC 7323 section 3.2.
    package struct Timestamps: Hashable, Sendable {
        package var value: UInt32
        package var echoReply: UInt32

        package init(value: UInt32, echoReply: UInt32) {
            self.value = value
            self.echoReply = echoReply
        }
    }

    /// Two of no operation, and the kind and length of timestamps.
    private static let timestampsAlone: UInt32 = 1 << 24 | 1 << 16 | 8 << 8 | 10

    /// The most bytes that options take (RFC 9293 section 3.1: a data offset has four bits).
    package static let maximumLength = 40

    package init() {}

    /// Reads `options`, the bytes behind the fixed header. Those that are unknown, or not as long as they should be, are
    /// skipped (RFC 9293 section 3.2: MUST-6).
    package init(parsing options: RawSpan) throws(PacketFault) {
        // What most segments carry, as RFC 7323 appendix A recommends it.
        if options.byteCount == 12, options.uint32(at: 0) == Self.timestampsAlone {
            timestamps = Timestamps(value: options.uint32(at: 4), echoReply: options.uint32(at: 8))
            return
        }
        var offset = 0
        while offset < options.byteCount {
            switch options.uint8(at: offset) {
            case 0:  // End of option list.
                return
            case 1:  // No-operation.
                offset += 1
            default:
                guard options.byteCount - offset >= 2 else { throw .options }
                let length = Int(options.uint8(at: offset + 1))
                guard length >= 2, length <= options.byteCount - offset else { throw .options }
                read(options.extracting(offset..<offset + length))
                offset += length
            }
        }
    }

    /// `option` is one whole option, its kind and length included.
    private mutating func read(_ option: RawSpan) {
        switch (option.uint8(at: 0), option.byteCount) {
        case (2, 4): maximumSegmentSize = option.uint16(at: 2)
        case (3, 3): windowScale = option.uint8(at: 2)
        case (4, 2): selectiveAcknowledgmentPermitted = true
        case (5, let length) where length % 8 == 2:
            for block in 0..<(length - 2) / 8 {
                let left = option.uint32(at: 2 + block * 8)
                sackBlocks.append(SACKBlock(left: left, right: option.uint32(at: 6 + block * 8)))
            }
        case (8, 10): timestamps = Timestamps(value: option.uint32(at: 2), echoReply: option.uint32(at: 6))
        default: break
        }
    }

    /// How many bytes `write` fills: a multiple of four.
    package var encodedLength: Int {
        (maximumSegmentSize == nil ? 0 : 4) + (windowScale == nil ? 0 : 4)
            + (timestamps != nil ? 12 : selectiveAcknowledgmentPermitted ? 4 : 0)
            // Beside timestamps, SACK-Permitted takes the place of the padding.
            + (sackBlocks.isEmpty ? 0 : 4 + sackBlocks.count * 8)
    }

    /// Fills the first `encodedLength` bytes, every option at the alignment that is the custom (RFC 7323 appendix A).
    /// Writes nothing where `bytes` is too short.
    package func write(to bytes: UnsafeMutableRawBufferPointer) {
        guard bytes.count >= encodedLength else { return }
        var writer = Writer(bytes: bytes)
        if let maximumSegmentSize { writer.word(2 << 24 | 4 << 16 | UInt32(maximumSegmentSize)) }
        if let timestamps {
            let start = selectiveAcknowledgmentPermitted ? 4 << 24 | 2 << 16 | 8 << 8 | 10 : Self.timestampsAlone
            writer.word(start)
            writer.word(timestamps.value)
            writer.word(timestamps.echoReply)
        } else if selectiveAcknowledgmentPermitted {
            writer.word(1 << 24 | 1 << 16 | 4 << 8 | 2)
        }
        if let windowScale { writer.word(1 << 24 | 3 << 16 | 3 << 8 | UInt32(windowScale)) }
        if !sackBlocks.isEmpty {
            writer.word(1 << 24 | 1 << 16 | 5 << 8 | UInt32(2 + sackBlocks.count * 8))
            for block in sackBlocks {
                writer.word(block.left)
                writer.word(block.right)
            }
        }
    }

    private struct Writer {
        let bytes: UnsafeMutableRawBufferPointer
        var offset = 0

        mutating func word(_ value: UInt32) {
            // Safe: `write` has checked that there is room for all of them, and the store checks its bounds.
            bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
            offset += 4
        }
    }
}

/// A range of sequence numbers that has arrived: from `left` up to `right`, which is not part of it (RFC 2018 section 3).
package struct SACKBlock: Hashable, Sendable {
    package var left: UInt32
    package var right: UInt32

    package init(left: UInt32, right: UInt32) {
        self.left = left
        self.right = right
    }
}

/// Up to four blocks, the most that options have room for, in place.
package struct SACKBlocks: Hashable, Sendable, RandomAccessCollection {
    private var first = SACKBlock(left: 0, right: 0)
    private var second = SACKBlock(left: 0, right: 0)
    private var third = SACKBlock(left: 0, right: 0)
    private var fourth = SACKBlock(left: 0, right: 0)
    private var length: UInt8 = 0

    package static let capacity = 4

    package init() {}

    package var startIndex: Int { 0 }
    package var endIndex: Int { Int(length) }

    package subscript(position: Int) -> SACKBlock {
        precondition(position >= 0 && position < endIndex, "index is out of range")
        return switch position {
        case 0: first
        case 1: second
        case 2: third
        default: fourth
        }
    }

    /// Ignored where there are four already.
    package mutating func append(_ block: SACKBlock) {
        switch length {
        case 0: first = block
        case 1: second = block
        case 2: third = block
        case 3: fourth = block
        default: return
        }
        length += 1
    }
}
