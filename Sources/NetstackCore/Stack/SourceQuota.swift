// A bound on how much of something there may be: in all, and for one address.

/// How many there may be at once.
public struct Bound: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// How many there may be of all sources together.
    public var total: Int
    /// For each address that they come from, so that one can't take the place of all others.
    public var perSource: Int

    /// A bound on all, and on those of each source.
    public init(total: Int, perSource: Int) {
        self.total = total
        self.perSource = perSource
    }

    /// The same in all as for one address.
    public init(integerLiteral value: Int) { self.init(total: value, perSource: value) }
}

/// Counts what is bounded by a ``Bound``.
package struct SourceQuota {
    package let bound: Bound
    package private(set) var total = 0
    private var bySource: [IPAddress: Int] = [:]

    package init(_ bound: Bound) { self.bound = bound }

    package func count(of source: IPAddress) -> Int { bySource[source, default: 0] }

    package func hasRoom(for source: IPAddress) -> Bool {
        total < bound.total && count(of: source) < bound.perSource
    }

    /// Counts one more, if there is room.
    package mutating func take(_ source: IPAddress) -> Bool {
        guard hasRoom(for: source) else { return false }
        add(source)
        return true
    }

    /// Counts one more, room or not.
    package mutating func add(_ source: IPAddress) {
        total += 1
        bySource[source, default: 0] += 1
    }

    package mutating func remove(_ source: IPAddress) {
        guard let count = bySource[source] else { return }
        total -= 1
        bySource[source] = count > 1 ? count - 1 : nil
    }
}
