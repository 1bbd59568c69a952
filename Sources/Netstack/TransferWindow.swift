// How many bytes a connection may have on their way: by the round trip, by what is used, and within a budget.

/// The bound of one direction of a connection: its receive window, or its send buffer.
///
/// It starts small, since most connections carry little, and doubles each time that all of it has been used: as far as the
/// round trip can make use of it, and a little further while there are few connections.
package struct TransferWindow {
    /// What every connection has.
    package static let initial = 256 << 10
    /// With more bytes than this on their way, no short round trip is worth more: they leave the processor's cache.
    package static let worthwhile = 1 << 20
    /// RFC 7323 section 2.3 allows 1 GiB; this is 335 Mbit/s at 100 ms.
    package static let maximum = 4 << 20
    /// Bytes a second that a window shall allow, up to `maximum`.
    private static let rate: Int64 = 250_000_000

    /// In bytes.
    package private(set) var limit: Int
    /// What the round trip needs; 0 if the window can't grow.
    private let needed: Int
    private var used = 0

    /// - Parameters:
    ///   - limit: at the start, in bytes.
    ///   - roundTrip: nil if the window can't grow.
    package init(_ limit: Int, roundTrip: Duration?) {
        self.limit = limit
        guard let roundTrip else {
            needed = 0
            return
        }
        let microseconds = min(roundTrip.components.attoseconds / 1_000_000_000_000, 1_000_000)
        let wanted = roundTrip >= .seconds(1) ? Self.maximum : Int(microseconds * Self.rate / 1_000_000)
        needed = max(limit, min(wanted, Self.maximum))
    }

    /// How much has been added to what every connection has.
    package var excess: Int { max(0, limit - Self.initial) }

    /// Takes note that `count` bytes have gone through.
    ///
    /// - Parameters:
    ///   - budget: what all windows may still grow by; reduced by the growth.
    ///   - connectionCount: how many connections share the budget.
    /// - Returns: by how much the window has grown, in bytes.
    package mutating func use(_ count: Int, of budget: inout Budget, among connectionCount: Int) -> Int {
        guard needed > 0, limit < max(needed, Self.worthwhile) else { return 0 }
        used += count
        guard used >= limit else { return 0 }
        used = 0
        // Half of the budget is for those whose round trips need it; of the other, each may have as much as all others.
        let share = budget.total / 2 / max(connectionCount, 1)
        let target = max(needed, min(Self.initial + share, Self.worthwhile))
        let growth = max(0, min(limit, target - limit, budget.rest))
        limit += growth
        budget.rest -= growth
        return growth
    }

    /// Bytes that the windows of all connections may grow by together.
    package struct Budget {
        fileprivate let total: Int
        package var rest: Int

        package init(_ total: Int) {
            self.total = total
            rest = total
        }
    }
}
