// Puts fragments together again (RFC 791, RFC 8200 section 4.5), in bounded memory.

package import NIOCore

/// The datagrams of which a NIC has received some fragments, but not all.
///
/// A pure state machine: whoever owns it calls `expire(now:)` when `nextExpiry` has come.
package struct Reassembler {
    /// The most memory that fragments may occupy, in bytes, with what it takes to keep them.
    package let limit: Bound
    /// The memory that they occupy, in bytes.
    package private(set) var byteCount = 0
    package private(set) var counters = Counters()

    private var datagrams: [Key: FragmentedDatagram] = [:]
    /// Oldest first. All live equally long, so they expire in this order.
    private var order = CircularBuffer<Key>()
    private var bytesBySource: [IPAddress: Int] = [:]

    private static let maximumDatagrams = 1024
    private static let lifetime = TimeAmount.seconds(30)

    package init(limit: Bound = Bound(total: 4 << 20, perSource: 1 << 20)) { self.limit = limit }

    package enum Outcome: Equatable {
        /// More fragments are needed.
        case incomplete
        /// The datagram as a whole, valid packet, as if it had never been fragmented.
        case complete(ByteBuffer)
        case dropped(DropReason)
    }

    /// Why a fragment was dropped, in most cases with its whole datagram.
    package enum DropReason: Hashable, Sendable {
        /// It overlaps another fragment (RFC 5722).
        case overlap
        /// It is empty or, not being the last, no multiple of 8 bytes long.
        case length
        /// The datagram would be longer than a length field can say.
        case tooLong
        /// It contradicts another fragment about where the datagram ends.
        case conflictingEnd
        case tooManyFragments
        /// The datagram alone exceeds what its source may occupy.
        case noRoom
        /// The fragments together are no valid packet.
        case malformed
    }

    package struct Counters: Hashable, Sendable {
        /// Datagrams put together.
        package fileprivate(set) var completed = 0
        /// Datagrams given up because fragments did not come in time.
        package fileprivate(set) var expired = 0
        /// Datagrams given up to make room for others.
        package fileprivate(set) var evicted = 0
        /// Fragments dropped.
        package fileprivate(set) var dropped: [DropReason: Int] = [:]
    }

    /// What the fragments of a datagram have in common. IPv6 leaves the protocol out, as only the first one's counts.
    private struct Key: Hashable {
        let source: IPAddress
        let destination: IPAddress
        let identification: UInt32
        let upperLayerProtocol: IPProtocolNumber?
    }

    /// When the oldest datagram expires.
    package var nextExpiry: NIODeadline? { order.first.flatMap { datagrams[$0]?.expiry } }

    /// Takes a fragment: a packet whose header has been read. A packet that isn't a fragment is complete by itself.
    package mutating func add(_ header: IPHeader, packet: RawSpan, now: NIODeadline) -> Outcome {
        guard let fragment = header.fragment else {
            return .complete(ByteBuffer(copying: packet.extracting(0..<header.totalLength)))
        }
        let outcome = add(fragment, header, packet: packet, now: now)
        switch outcome {
        case .incomplete: break
        case .complete: counters.completed += 1
        case .dropped(let reason): counters.dropped[reason, default: 0] += 1
        }
        return outcome
    }

    private mutating func add(
        _ fragment: IPHeader.Fragment, _ header: IPHeader, packet: RawSpan, now: NIODeadline
    ) -> Outcome {
        let length = header.payload.count
        guard fragment.offset + length <= header.maximumReassembledLength else { return .dropped(.tooLong) }
        let piece = FragmentedDatagram.Piece(
            offset: fragment.offset, payload: Self.payload(of: packet, header, isFirst: fragment.offset == 0))
        if fragment.offset == 0, fragment.isLast {
            // An atomic fragment has nothing to do with others of the same identification (RFC 6946).
            var datagram = FragmentedDatagram(expiry: now)
            datagram.insert(piece, before: 0, header: header, isLast: true)
            return Self.outcome(of: datagram)
        }
        guard length > 0, fragment.isLast || length & 7 == 0 else { return .dropped(.length) }

        let key = Key(
            source: header.source, destination: header.destination, identification: fragment.identification,
            upperLayerProtocol: header.version == .v4 ? header.upperLayerProtocol : nil)
        var index = 0
        switch datagrams[key]?.placement(of: piece, isLast: fragment.isLast) {
        case nil: break
        case .before(let place): index = place
        case .duplicate: return .incomplete
        case .conflict(let reason):
            remove(key)
            return .dropped(reason)
        }
        guard makeRoom(for: piece, key) else {
            remove(key)
            return .dropped(.noRoom)
        }
        if datagrams[key] == nil { open(key, expiry: now + Self.lifetime) }
        account(piece.memory, to: key.source)
        datagrams[key]?.insert(piece, before: index, header: header, isLast: fragment.isLast)
        guard datagrams[key]?.isComplete == true, let datagram = remove(key) else { return .incomplete }
        return Self.outcome(of: datagram)
    }

    /// Gives up on the datagrams whose time has come.
    ///
    /// Returns the first fragments of those that had one: their senders are to be told (RFC 1122 section 3.3.2, RFC
    /// 8200 section 4.5).
    package mutating func expire(now: NIODeadline) -> [ByteBuffer] {
        var firstFragments: [ByteBuffer] = []
        while let expiry = nextExpiry, expiry <= now {
            if let first = remove(at: order.startIndex)?.firstFragment { firstFragments.append(first) }
            counters.expired += 1
        }
        return firstFragments
    }
}

extension Reassembler {
    private static func outcome(of datagram: FragmentedDatagram) -> Outcome {
        guard let packet = datagram.assembled() else { return .dropped(.tooLong) }
        // In IPv6 the fragments can hold more extension headers, even another Fragment header.
        let header = try? IPHeader(parsing: packet.readableBytesSpan)
        guard let header, header.fragment == nil else { return .dropped(.malformed) }
        return .complete(packet)
    }

    private static func payload(of packet: RawSpan, _ header: IPHeader, isFirst: Bool) -> ByteBuffer {
        guard isFirst else { return ByteBuffer(copying: packet.extracting(header.payload)) }
        var payload = ByteBuffer(copying: packet.extracting(0..<header.totalLength))
        payload.moveReaderIndex(to: header.headerLength)
        return payload
    }

    private mutating func open(_ key: Key, expiry: NIODeadline) {
        datagrams[key] = FragmentedDatagram(expiry: expiry)
        order.append(key)
        account(FragmentedDatagram.overhead, to: key.source)
    }

    @discardableResult
    private mutating func remove(_ key: Key) -> FragmentedDatagram? {
        // Most are complete soon after they are opened, so they are near the end.
        order.lastIndex(of: key).flatMap { remove(at: $0) }
    }

    @discardableResult
    private mutating func remove(at index: CircularBuffer<Key>.Index) -> FragmentedDatagram? {
        let key = order.remove(at: index)
        guard let datagram = datagrams.removeValue(forKey: key) else { return nil }
        account(-datagram.memory, to: key.source)
        return datagram
    }

    private mutating func account(_ bytes: Int, to source: IPAddress) {
        byteCount += bytes
        let total = bytesBySource[source, default: 0] + bytes
        bytesBySource[source] = total == 0 ? nil : total
    }

    /// Evicts datagrams until there is room for another piece: first the oldest of the same source, then of all.
    private mutating func makeRoom(for piece: FragmentedDatagram.Piece, _ key: Key) -> Bool {
        let isNew = datagrams[key] == nil
        let needed = piece.memory + (isNew ? FragmentedDatagram.overhead : 0)
        // Evicting all others would not help.
        guard (datagrams[key]?.memory ?? 0) + needed <= limit.perSource else { return false }
        while bytesBySource[key.source, default: 0] + needed > limit.perSource {
            guard evictOldest(of: key.source, sparing: key) else { return false }
        }
        while byteCount + needed > limit.total || (isNew && datagrams.count >= Self.maximumDatagrams) {
            guard evictOldest(of: key.source, sparing: key) || evictOldest(of: nil, sparing: key) else { return false }
        }
        return true
    }

    /// Evicts the oldest datagram of a source, or of all if that is nil, but not the one with this key.
    private mutating func evictOldest(of source: IPAddress?, sparing key: Key) -> Bool {
        if let source, bytesBySource[source] == nil { return false }
        let oldest = order.firstIndex { $0 != key && (source == nil || $0.source == source) }
        guard let oldest else { return false }
        remove(at: oldest)
        counters.evicted += 1
        return true
    }
}
