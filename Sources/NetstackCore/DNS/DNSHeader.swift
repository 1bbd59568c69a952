// The header of a DNS message, and the numbers that stand in one.

/// The flags of a header (RFC 1035 section 4.1.1, RFC 4035 section 3).
package struct DNSFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// QR
    package static let response = DNSFlags(rawValue: 0x8000)
    /// AA
    package static let authoritative = DNSFlags(rawValue: 0x0400)
    /// TC
    package static let truncated = DNSFlags(rawValue: 0x0200)
    /// RD
    package static let recursionDesired = DNSFlags(rawValue: 0x0100)
    /// RA
    package static let recursionAvailable = DNSFlags(rawValue: 0x0080)
    /// AD
    package static let authenticData = DNSFlags(rawValue: 0x0020)
    /// CD
    package static let checkingDisabled = DNSFlags(rawValue: 0x0010)

    static let all: DNSFlags = [
        .response, .authoritative, .truncated, .recursionDesired, .recursionAvailable, .authenticData,
        .checkingDisabled,
    ]
}

/// What came of a query: RCODE, with the upper bits that EDNS adds (RFC 6895 section 2.3).
package struct DNSResponseCode: RawRepresentable, Hashable, Sendable {
    /// 0…4095
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue & 0xfff }

    package static let noError = DNSResponseCode(rawValue: 0)
    package static let formatError = DNSResponseCode(rawValue: 1)
    package static let serverFailure = DNSResponseCode(rawValue: 2)
    /// NXDOMAIN: there is no such name.
    package static let nameError = DNSResponseCode(rawValue: 3)
    package static let notImplemented = DNSResponseCode(rawValue: 4)
    package static let refused = DNSResponseCode(rawValue: 5)
    /// BADVERS
    package static let badVersion = DNSResponseCode(rawValue: 16)
}

/// What a record holds, or a question asks for (RFC 1035 section 3.2.2).
package struct DNSRecordType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSRecordType(rawValue: 1)
    package static let cname = DNSRecordType(rawValue: 5)
    package static let ptr = DNSRecordType(rawValue: 12)
    package static let aaaa = DNSRecordType(rawValue: 28)
    package static let opt = DNSRecordType(rawValue: 41)
}

/// The first 12 bytes of a message (RFC 1035 section 4.1.1).
package struct DNSHeader: Hashable, Sendable {
    package static let length = 12

    package var id: UInt16
    package var flags: DNSFlags
    /// 0…15; 0 is a standard query.
    package var opcode: UInt8
    /// The lower four bits of the response code.
    package var responseCode: UInt8
    package var questionCount: UInt16
    package var answerCount: UInt16
    package var authorityCount: UInt16
    package var additionalCount: UInt16

    package init(parsing message: RawSpan) throws(DNSFault) {
        guard message.byteCount >= Self.length else { throw .truncated }
        id = message.uint16(at: 0)
        let word = message.uint16(at: 2)
        flags = DNSFlags(rawValue: word).intersection(.all)
        opcode = UInt8(truncatingIfNeeded: word >> 11 & 15)
        responseCode = UInt8(truncatingIfNeeded: word & 15)
        questionCount = message.uint16(at: 4)
        answerCount = message.uint16(at: 6)
        authorityCount = message.uint16(at: 8)
        additionalCount = message.uint16(at: 10)
    }
}
