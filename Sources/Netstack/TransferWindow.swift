// How many bytes a connection may have on their way: by the round trip, by what is used, and within a budget.

import NetstackCore

/// The bound of one direction of a connection: its receive window, or its send buffer.
///
/// It starts small, since most connections carry little, and doubles each time that all of it has been used: as far as the
/// round trip can make use of it, and a little further where the stack has few connections.
package struct TransferWindow {
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
    package var excess: Int { max(0, limit - StackCore.initialWindow) }

    /// Takes note that `count` bytes have gone through.
    ///
    /// - Returns: whether all of it has been used by now, and it may grow.
    package mutating func use(_ count: Int) -> Bool {
        used += count
        guard used >= limit else { return false }
        used = 0
        return needed > 0
    }

    /// Grows after it has been used.
    ///
    /// - Parameters:
    ///   - budget: bytes that all windows together may still grow by; reduced by the growth.
    ///   - worthwhile: what it may grow to whatever the round trip, in bytes.
    /// - Returns: by how much it has grown, in bytes.
    package mutating func grow(budget: inout Int, worthwhile: Int) -> Int {
        let growth = max(0, min(limit, max(needed, worthwhile) - limit, budget))
        limit += growth
        budget -= growth
        return growth
    }
}
