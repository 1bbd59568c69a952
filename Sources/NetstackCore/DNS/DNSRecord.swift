// Questions and records of DNS messages.

package import NIOCore

/// What a query asks for (RFC 1035 section 4.1.2).
package struct DNSQuestion: Hashable, Sendable {
    /// IN, the only class in use.
    package static let internet: UInt16 = 1

    package var name: DNSName
    package var type: DNSRecordType
    package var `class`: UInt16

    package init(_ name: DNSName, _ type: DNSRecordType, class: UInt16 = Self.internet) {
        self.name = name
        self.type = type
        self.class = `class`
    }
}

/// A resource record of the Internet class (RFC 1035 section 4.1.3), or one of another that nothing is known of.
package struct DNSRecord: Hashable, Sendable {
    package enum Data: Hashable, Sendable {
        case a(IPv4Address)
        case aaaa(IPv6Address)
        case cname(DNSName)
        case ptr(DNSName)
        /// The bytes of another type. Where that has compressed names, they mean something in their own message only.
        case other(DNSRecordType, class: UInt16, ByteBuffer)
    }

    package var name: DNSName
    /// How long it may be kept, in seconds.
    package var timeToLive: UInt32
    package var data: Data

    package init(_ name: DNSName, timeToLive: UInt32, _ data: Data) {
        self.name = name
        self.timeToLive = timeToLive
        self.data = data
    }

    package var type: DNSRecordType {
        switch data {
        case .a: .a
        case .aaaa: .aaaa
        case .cname: .cname
        case .ptr: .ptr
        case .other(let type, _, _): type
        }
    }

    /// The address it holds, if it holds one.
    package var address: IPAddress? {
        switch data {
        case .a(let address): .v4(address)
        case .aaaa(let address): .v6(address)
        default: nil
        }
    }
}

extension DNSRecord.Data {
    /// Reads the data of a record, which are at `range` of the message.
    init(_ type: DNSRecordType, class: UInt16, _ message: RawSpan, at range: Range<Int>) throws(DNSFault) {
        func name() throws(DNSFault) -> DNSName {
            var offset = range.lowerBound
            let name = try DNSName.read(message, at: &offset)
            guard offset == range.upperBound else { throw .recordData }
            return name
        }
        switch (`class`, type) {
        case (DNSQuestion.internet, .a):
            guard range.count == 4 else { throw .recordData }
            self = .a(IPv4Address(rawValue: message.uint32(at: range.lowerBound)))
        case (DNSQuestion.internet, .aaaa):
            guard range.count == 16 else { throw .recordData }
            self = .aaaa(IPv6Address(rawValue: message.uint128(at: range.lowerBound)))
        case (DNSQuestion.internet, .cname): self = .cname(try name())
        case (DNSQuestion.internet, .ptr): self = .ptr(try name())
        default: self = .other(type, class: `class`, ByteBuffer(copying: message.extracting(range)))
        }
    }

    var `class`: UInt16 {
        if case .other(_, let value, _) = self { value } else { DNSQuestion.internet }
    }

    func write(to buffer: inout ByteBuffer) {
        switch self {
        case .a(let address): buffer.writeInteger(address.rawValue)
        case .aaaa(let address): buffer.writeInteger(address.rawValue)
        case .cname(let name), .ptr(let name): buffer.writeBytes(name.wire)
        case .other(_, _, let bytes): buffer.writeImmutableBuffer(bytes)
        }
    }
}
