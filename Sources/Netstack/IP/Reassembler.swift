// Putting fragments together, within bounds, whatever they claim.

import DequeModule
import NIOCore

/// Reassembly for both IP versions (RFC 791, RFC 815, RFC 8200 section 4.5, RFC 5722): a pure state machine.
struct Reassembler {
    enum Outcome {
        case incomplete
        /// The whole packet, as if it had never been fragmented.
        case complete(ByteBuffer)
        case dropped
    }

    private struct Key: Hashable {
        var source: IPAddress
        var destination: IPAddress
        var upper: IPProtocol
        var identification: UInt32
    }

    private struct Piece {
        var range: Range<Int>
        var bytes: ByteBuffer
    }

    private struct Datagram {
        /// In order of their ranges, which do not overlap.
        var pieces: [Piece] = []
        var received = 0
        /// The length of the payload, once the last fragment has come.
        var length: Int?
        /// The header in front of the first fragment: up to the fragment header in IPv6.
        var header: ByteBuffer?
        var expiry: NIODeadline
        var cost = 0
    }

    /// RFC 791 suggests 15 s and RFC 8200 sets 60; RFC 1122 section 3.3.2 allows what lies between.
    static let lifetime = TimeAmount.seconds(30)
    /// What a fragment costs beyond its bytes, and a datagram beyond its fragments.
    private static let overhead = 256
    /// A packet of 65,535 bytes in fragments that fit the smallest MTU, twice over.
    private static let maximumPieces = 256

    private let byteLimit: Int
    private var datagrams: [Key: Datagram] = [:]
    /// In order of arrival, which is that of expiry. Some may be gone already.
    private var order: Deque<(key: Key, expiry: NIODeadline)> = []
    /// What all datagrams cost together, in bytes.
    private(set) var cost = 0
    private var costBySource: [IPAddress: Int] = [:]

    /// - Parameter byteLimit: the memory for incomplete datagrams; a quarter of it for those of one source.
    init(byteLimit: Int) { self.byteLimit = byteLimit }

    /// When `expire` has something to do next, at the earliest.
    var nextExpiry: NIODeadline? { order.first?.expiry }

    mutating func add(_ header: IPHeader, packet: RawSpan, now: NIODeadline) -> Outcome {
        guard let fragment = header.fragment else { return .dropped }
        expire(now: now)
        // What follows the fragment header in IPv6, extension headers included, is data to be put together.
        let start = header.version == .v4 ? header.headerLength : fragment.headerOffset + 8
        let data = packet.extracting(start..<header.totalLength)
        // An "atomic" fragment is a datagram by itself, and no part of any other (RFC 6946).
        if fragment.offset == 0, fragment.isLast {
            let piece = Piece(range: 0..<data.byteCount, bytes: ByteBuffer(copying: data))
            return .complete(Self.whole(front(header, fragment, packet), header.version, [piece], data.byteCount))
        }
        let key = Key(
            source: header.source, destination: header.destination,
            upper: header.version == .v4 ? header.upperLayerProtocol : .fragment,
            identification: fragment.identification)
        let range = fragment.offset..<(fragment.offset + data.byteCount)
        let price = data.byteCount + Self.overhead
        guard makeRoom(price, for: key) else { return .dropped }
        var datagram: Datagram
        if let known = datagrams[key] {
            datagram = known
        } else {
            datagram = Datagram(expiry: now + Self.lifetime)
            order.append((key, datagram.expiry))
        }

        let index = datagram.pieces.firstIndex { $0.range.lowerBound >= range.lowerBound } ?? datagram.pieces.endIndex
        // The same fragment again is no harm.
        if index < datagram.pieces.endIndex, datagram.pieces[index].range == range,
            datagram.pieces[index].bytes == ByteBuffer(copying: data)
        {
            return .incomplete
        }
        // RFC 5722: any overlap condemns the whole datagram. So does an end that moves, or lies before what has come.
        let overlaps =
            index > 0 && datagram.pieces[index - 1].range.upperBound > range.lowerBound
            || index < datagram.pieces.endIndex && datagram.pieces[index].range.lowerBound < range.upperBound
        let end = fragment.isLast ? range.upperBound : datagram.length
        let endMoves = fragment.isLast && datagram.length.map { $0 != range.upperBound } == true
        let reachesBeyond = end.map { max(range.upperBound, datagram.pieces.last?.range.upperBound ?? 0) > $0 } == true
        guard !overlaps, !endMoves, !reachesBeyond, datagram.pieces.count < Self.maximumPieces else {
            remove(key)
            return .dropped
        }
        datagram.length = end
        if fragment.offset == 0 { datagram.header = front(header, fragment, packet) }
        datagram.pieces.insert(Piece(range: range, bytes: ByteBuffer(copying: data)), at: index)
        datagram.received += range.count
        datagram.cost += price
        cost += price
        costBySource[key.source, default: 0] += price
        datagrams[key] = datagram

        guard let length = datagram.length, datagram.received == length, let front = datagram.header else {
            return .incomplete
        }
        remove(key)
        guard front.readableBytes + length <= 65535 else { return .dropped }
        return .complete(Self.whole(front, header.version, datagram.pieces, length))
    }

    /// Forgets datagrams whose time is over.
    mutating func expire(now: NIODeadline) {
        while let first = order.first, first.expiry <= now || datagrams[first.key]?.expiry != first.expiry {
            order.removeFirst()
            if datagrams[first.key]?.expiry == first.expiry { remove(first.key) }
        }
    }

    // MARK: Bounds

    /// Forgets the oldest datagrams, of the same source first, until there is room.
    private mutating func makeRoom(_ price: Int, for key: Key) -> Bool {
        guard price <= byteLimit / 4 else { return false }
        while costBySource[key.source, default: 0] + price > byteLimit / 4 {
            guard forgetOldest(where: { $0.source == key.source }) else { return false }
        }
        while cost + price > byteLimit {
            guard forgetOldest(where: { _ in true }) else { return false }
        }
        return true
    }

    private mutating func forgetOldest(where condition: (Key) -> Bool) -> Bool {
        guard let oldest = order.first(where: { condition($0.key) && datagrams[$0.key] != nil }) else { return false }
        remove(oldest.key)
        return true
    }

    private mutating func remove(_ key: Key) {
        guard let datagram = datagrams.removeValue(forKey: key) else { return }
        cost -= datagram.cost
        let left = costBySource[key.source, default: 0] - datagram.cost
        costBySource[key.source] = left > 0 ? left : nil
        // Behind one that never completes, those that did must not pile up.
        if order.count > 2 * datagrams.count + 64 {
            order.removeAll { datagrams[$0.key]?.expiry != $0.expiry }
        }
    }

    // MARK: The whole

    /// What stands before the payload in the whole packet, with the mark of fragmentation taken out.
    private func front(_ header: IPHeader, _ fragment: IPHeader.Fragment, _ packet: RawSpan) -> ByteBuffer {
        switch header.version {
        case .v4:
            var front = ByteBuffer(copying: packet.extracting(0..<header.headerLength))
            front.setInteger(UInt16(0), at: 6)
            return front
        case .v6:
            var front = ByteBuffer(copying: packet.extracting(0..<fragment.headerOffset))
            front.setInteger(packet.uint8(at: fragment.headerOffset), at: fragment.announcedAt)
            return front
        }
    }

    private static func whole(_ front: ByteBuffer, _ version: IPVersion, _ pieces: [Piece], _ length: Int) -> ByteBuffer {
        var packet = front
        packet.reserveCapacity(front.readableBytes + length)
        for piece in pieces { packet.writeImmutableBuffer(piece.bytes) }
        switch version {
        case .v4:
            packet.setInteger(UInt16(truncatingIfNeeded: packet.readableBytes), at: 2)
            // Options may follow the 20 bytes, so the sum is taken over all of the header.
            packet.setInteger(UInt16(0), at: 10)
            var checksum = InternetChecksum()
            checksum.add(packet.readableBytesSpan.extracting(first: front.readableBytes))
            packet.setInteger(checksum.value, at: 10)
        case .v6:
            packet.setInteger(UInt16(truncatingIfNeeded: packet.readableBytes - 40), at: 4)
        }
        return packet
    }
}
