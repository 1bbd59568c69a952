// DNS messages (RFC 1035 section 4), read and written.

package import NIOCore

/// What a message says about EDNS (RFC 6891 section 6.1): the OPT record, less its options.
package struct EDNS: Hashable, Sendable {
    /// The longest message in bytes to send and to take over UDP: no path fragments it (RFC 9715 section 3.1).
    package static let payloadSize: UInt16 = 1232

    /// The longest message over UDP that the sender takes, in bytes.
    package var payloadSize: UInt16
    package var version: UInt8
    /// DO (RFC 3225)
    package var dnssecOK: Bool

    package init(payloadSize: UInt16 = Self.payloadSize, version: UInt8 = 0, dnssecOK: Bool = false) {
        self.payloadSize = payloadSize
        self.version = version
        self.dnssecOK = dnssecOK
    }
}

/// A query or a response with at most one question.
///
/// Of what is read, the sections of authority and additional records are checked and, but for OPT, left out.
package struct DNSMessage: Hashable, Sendable {
    package var id: UInt16
    package var flags: DNSFlags
    /// 0…15; 0 is a standard query.
    package var opcode: UInt8 = 0
    /// Codes above 15 need `edns`.
    package var responseCode = DNSResponseCode.noError
    package var question: DNSQuestion?
    package var answers: [DNSRecord] = []
    package var edns: EDNS?

    /// The longest message over UDP where nothing else has been said (RFC 1035 section 2.3.4), and over TCP, in bytes.
    package static let maximumPlainLength = 512
    package static let maximumLength = 65535

    package init(id: UInt16, flags: DNSFlags = [], question: DNSQuestion? = nil) {
        self.id = id
        self.flags = flags
        self.question = question
    }

    /// Reads a message. What follows it is not looked at.
    package init(parsing message: RawSpan) throws(DNSFault) {
        let header = try DNSHeader(parsing: message)
        id = header.id
        flags = header.flags
        opcode = header.opcode
        responseCode = DNSResponseCode(rawValue: UInt16(header.responseCode))
        guard header.questionCount <= 1 else { throw .questions }
        var offset = DNSHeader.length
        if header.questionCount == 1 {
            let name = try DNSName.read(message, at: &offset)
            guard message.byteCount - offset >= 4 else { throw .truncated }
            question = DNSQuestion(
                name, DNSRecordType(rawValue: message.uint16(at: offset)), class: message.uint16(at: offset + 2))
            offset += 4
        }
        for _ in 0..<header.answerCount { answers.append(try Self.record(message, at: &offset)) }
        for _ in 0..<header.authorityCount { _ = try Self.record(message, at: &offset) }
        for _ in 0..<header.additionalCount {
            let start = offset
            let record = try Self.record(message, at: &offset, mayBeOptions: true)
            if record.type == .opt { try readOptions(record, message, at: start) }
        }
    }

    private static func record(
        _ message: RawSpan, at offset: inout Int, mayBeOptions: Bool = false
    ) throws(DNSFault) -> DNSRecord {
        let name = try DNSName.read(message, at: &offset)
        guard message.byteCount - offset >= 10 else { throw .truncated }
        let type = DNSRecordType(rawValue: message.uint16(at: offset))
        guard type != .opt || mayBeOptions else { throw .options }
        let (`class`, timeToLive) = (message.uint16(at: offset + 2), message.uint32(at: offset + 4))
        let start = offset + 10
        let end = start + Int(message.uint16(at: offset + 8))
        guard end <= message.byteCount else { throw .truncated }
        offset = end
        // RFC 2181 section 8: a time with the highest bit set is none.
        return DNSRecord(
            name, timeToLive: type == .opt || timeToLive >> 31 == 0 ? timeToLive : 0,
            try DNSRecord.Data(type, class: `class`, message, at: start..<end))
    }

    private mutating func readOptions(_ record: DNSRecord, _ message: RawSpan, at start: Int) throws(DNSFault) {
        guard edns == nil, record.name == .root else { throw .options }
        let word = record.timeToLive
        responseCode = DNSResponseCode(rawValue: UInt16(word >> 24) << 4 | responseCode.rawValue & 15)
        edns = EDNS(
            payloadSize: record.data.class, version: UInt8(truncatingIfNeeded: word >> 16), dnssecOK: word & 0x8000 != 0
        )
    }

    /// The bytes of the message.
    ///
    /// - Parameter limit: how many there may be. If there were more, all answers are left out and TC says so (RFC 2181
    ///   section 9).
    package func encoded(limit: Int = Self.maximumLength) -> ByteBuffer {
        let whole = encoded(flags, answers)
        guard whole.readableBytes > min(limit, Self.maximumLength) else { return whole }
        return encoded(flags.union(.truncated), [])
    }

    private func encoded(_ flags: DNSFlags, _ answers: [DNSRecord]) -> ByteBuffer {
        var buffer = ByteBuffer()
        let word = flags.rawValue | UInt16(opcode & 15) << 11 | responseCode.rawValue & 15
        buffer.writeMultipleIntegers(
            id, word, UInt16(question == nil ? 0 : 1), UInt16(clamping: answers.count), UInt16(0),
            UInt16(edns == nil ? 0 : 1))
        if let question {
            buffer.writeBytes(question.name.wire)
            buffer.writeMultipleIntegers(question.type.rawValue, question.class)
        }
        for record in answers {
            if record.name == question?.name, record.name != .root {
                // The only compression there is: a pointer to the question.
                buffer.writeInteger(0xc000 | UInt16(DNSHeader.length))
            } else {
                buffer.writeBytes(record.name.wire)
            }
            buffer.writeMultipleIntegers(record.type.rawValue, record.data.class, record.timeToLive)
            var data = ByteBuffer()
            record.data.write(to: &data)
            // Longer data make the message too long as well, so it is not sent.
            buffer.writeInteger(UInt16(clamping: data.readableBytes))
            buffer.writeImmutableBuffer(data)
        }
        if let edns {
            buffer.writeBytes(DNSName.root.wire)
            buffer.writeMultipleIntegers(
                DNSRecordType.opt.rawValue, edns.payloadSize, UInt8(truncatingIfNeeded: responseCode.rawValue >> 4),
                edns.version, UInt16(edns.dnssecOK ? 0x8000 : 0), UInt16(0))
        }
        return buffer
    }
}
