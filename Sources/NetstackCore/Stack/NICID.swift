// The number by which a stack knows one of its NICs.

/// Identifies a network interface within its stack.
public struct NICID: Hashable, Sendable, Comparable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    /// The number that its creator has chosen.
    public let rawValue: Int

    /// The NIC with a number.
    public init(_ rawValue: Int) { self.rawValue = rawValue }
    public init(integerLiteral value: Int) { rawValue = value }

    public var description: String { "NIC \(rawValue)" }
    public static func < (a: NICID, b: NICID) -> Bool { a.rawValue < b.rawValue }
}
