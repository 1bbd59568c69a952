// Sequence numbers, which wrap (RFC 9293 section 3.4).

/// A position in the space of 2^32 sequence numbers. Two of them are compared by which way round is the shorter, so the
/// order is not transitive, and there is no `Comparable`.
package struct TCPSequenceNumber: Hashable, Sendable {
    package var rawValue: UInt32

    package init(_ rawValue: UInt32) { self.rawValue = rawValue }

    package static func + (start: Self, count: Int) -> Self {
        Self(start.rawValue &+ UInt32(truncatingIfNeeded: count))
    }
    package static func - (start: Self, count: Int) -> Self { start + -count }
    package static func += (start: inout Self, count: Int) { start = start + count }
    /// How far `end` lies ahead of `start`; negative if it lies behind.
    package static func - (end: Self, start: Self) -> Int { Int(Int32(bitPattern: end.rawValue &- start.rawValue)) }

    package static func < (one: Self, other: Self) -> Bool { one - other < 0 }
    package static func <= (one: Self, other: Self) -> Bool { one - other <= 0 }
    package static func > (one: Self, other: Self) -> Bool { one - other > 0 }
    package static func >= (one: Self, other: Self) -> Bool { one - other >= 0 }
}
