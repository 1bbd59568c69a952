// What a NIC has moved and dropped.

/// What a NIC has moved and dropped since it was created.
public struct NICStatistics: Sendable, Hashable {
    /// Packets that the link has delivered.
    public var packetsReceived = 0
    /// Bytes of those packets, with their IP headers.
    public var bytesReceived = 0
    /// Packets that the link has been given.
    public var packetsSent = 0
    /// Bytes of those packets, with their IP headers.
    public var bytesSent = 0
    /// Packets that were dropped, by reason.
    public internal(set) var dropped = Drops()

    /// Counts of packets by why they were dropped.
    public struct Drops: Sendable, Hashable {
        private var counts: [DropReason: Int] = [:]

        /// How many were dropped for that reason.
        public internal(set) subscript(_ reason: DropReason) -> Int {
            get { counts[reason, default: 0] }
            set { counts[reason] = newValue }
        }

        /// How many were dropped for any.
        public var total: Int { counts.values.reduce(0, +) }
    }

    package mutating func drop(_ reason: DropReason, count: Int = 1) {
        if count > 0 { dropped[reason] += count }
    }
}

extension NICStatistics.Drops: CustomStringConvertible {
    /// The reasons that there were, as `checksum: 3, window: 1`.
    public var description: String {
        DropReason.allCases.filter { self[$0] > 0 }.map { "\($0): \(self[$0])" }.joined(separator: ", ")
    }
}
