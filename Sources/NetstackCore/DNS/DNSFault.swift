// Why bytes are not a DNS message.

/// What is wrong with a DNS message.
package enum DNSFault: Error, Hashable, Sendable {
    /// The bytes end before the message does.
    case truncated
    /// A label is of a type that nobody uses (RFC 6891 section 5).
    case labelType
    /// A name is longer than 255 bytes (RFC 1035 section 2.3.4).
    case nameLength
    /// A compressed name points forward, at itself or into the header (RFC 1035 section 4.1.4: to a prior occurrence).
    case pointer
    /// There is more than one question (RFC 9619).
    case questions
    /// The data of a record do not fit its type.
    case recordData
    /// There is more than one OPT record, or one that stands elsewhere than it may (RFC 6891 section 6.1.1).
    case options
}

extension DNSFault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated: "message is truncated"
        case .labelType: "label type is unknown"
        case .nameLength: "name is longer than 255 bytes"
        case .pointer: "compressed name does not point backwards"
        case .questions: "there is more than one question"
        case .recordData: "record data do not fit their type"
        case .options: "OPT record is not the only one, or misplaced"
        }
    }
}
