// Reassembly of fragments in any order, from friend and foe.

import NIOCore
import Netstack
import Testing

@Suite struct ReassemblerTests {
    @Test(arguments: [IPVersion.v4, .v6])
    func completesFragmentsInEveryOrder(version: IPVersion) throws {
        let pieces = [(0, 16), (16, 8), (24, 24), (48, 5)]
        for order in permutations(of: Array(pieces.indices)) {
            var reassembler = Reassembler()
            for (count, index) in order.enumerated() {
                let (offset, length) = pieces[index]
                let outcome = try reassembler.add(
                    fragment(version, at: offset, bytes(offset, length), isLast: offset == 48))
                if count < 3 {
                    #expect(outcome == .incomplete)
                } else {
                    try expectPayload(of: outcome, bytes(0, 53))
                }
            }
            #expect(reassembler.byteCount == 0)
            #expect(reassembler.nextExpiry == nil)
            #expect(reassembler.counters.completed == 1)
        }
    }

    @Test func ignoresExactDuplicates() throws {
        var reassembler = Reassembler()
        let first = fragment(.v4, at: 0, bytes(0, 16))
        let second = fragment(.v4, at: 16, bytes(16, 16))
        for packet in [first, first, second, first, second] { #expect(try reassembler.add(packet) == .incomplete) }
        try expectPayload(of: reassembler.add(fragment(.v4, at: 32, bytes(32, 3), isLast: true)), bytes(0, 35))
        #expect(reassembler.counters.dropped.isEmpty)
    }

    @Test func keepsDatagramsApart() throws {
        var reassembler = Reassembler()
        let first = fragment(.v4, at: 0, bytes(0, 8))
        #expect(try reassembler.add(first) == .incomplete)
        for other in [
            fragment(.v4, at: 8, bytes(8, 8), isLast: true, identification: 2),
            fragment(.v4, at: 8, bytes(8, 8), isLast: true, protocol: .tcp),
            fragment(.v4, at: 8, bytes(8, 8), isLast: true, source: 2),
            fragment(.v6, at: 8, bytes(8, 8), isLast: true),
        ] {
            #expect(try reassembler.add(other) == .incomplete)
        }
        try expectPayload(of: reassembler.add(fragment(.v4, at: 8, bytes(8, 8), isLast: true)), bytes(0, 16))
    }

    @Test func takesTheProtocolFromTheFirstIPv6Fragment() throws {
        var reassembler = Reassembler()
        _ = try reassembler.add(fragment(.v6, at: 8, bytes(8, 8), isLast: true, protocol: .tcp))
        let packet = try #require(reassembler.add(fragment(.v6, at: 0, bytes(0, 8))).packet)
        #expect(try IPHeader(parsing: packet.readableBytesSpan).upperLayerProtocol == .udp)
    }

    /// RFC 3168 section 5.3: congestion on the way of one fragment is congestion on that of the datagram.
    @Test(arguments: [IPVersion.v4, .v6], [0, 1])
    func aMarkOfAnyFragmentIsTheDatagrams(version: IPVersion, marked: Int) throws {
        var reassembler = Reassembler()
        var fragments = [fragment(version, at: 0, bytes(0, 16)), fragment(version, at: 16, bytes(16, 4), isLast: true)]
        let bits: UInt8 = version == .v4 ? 0x03 : 0x30
        let byte = try #require(fragments[marked].getInteger(at: 1, as: UInt8.self))
        fragments[marked].setInteger(byte | bits, at: 1)
        if version == .v4 {
            let header = fixingHeaderChecksum(Array(fragments[marked].readableBytesView.prefix(20)))
            fragments[marked].setBytes(header, at: 0)
        }
        #expect(try reassembler.add(fragments[0]) == .incomplete)
        let whole = try #require(reassembler.add(fragments[1]).packet)
        #expect(try IPHeader(parsing: whole.readableBytesSpan).congestionExperienced)
    }

    @Test func keepsOptionsOfTheFirstFragment() throws {
        var first = fragment(.v4, at: 0, bytes(0, 8))
        var withOptions = Array(first.readableBytesView)
        withOptions.insert(contentsOf: [148, 4, 0, 0], at: 20)
        withOptions[0] = 0x46
        withOptions[3] += 4
        first = ByteBuffer(bytes: fixingHeaderChecksum(withOptions))
        var reassembler = Reassembler()
        _ = try reassembler.add(fragment(.v4, at: 8, bytes(8, 8), isLast: true))
        let outcome = try reassembler.add(first)
        try expectPayload(of: outcome, bytes(0, 16))
        #expect(outcome.packet?.getBytes(at: 20, length: 4) == [148, 4, 0, 0])
        #expect(outcome.packet?.readableBytes == 40)
    }

    @Test func keepsExtensionHeadersBeforeTheFragmentHeader() throws {
        var packets: [ByteBuffer] = []
        for offset in [0, 8] {
            let packet = fragment(.v6, at: offset, bytes(offset, 8), isLast: offset == 8)
            let options = hex("2c00010400000000")
            packets.append(
                ByteBuffer(
                    bytes: inserting(
                        options, startingWith: .destinationOptions, into: Array(packet.readableBytesView))))
        }
        var reassembler = Reassembler()
        #expect(try reassembler.add(packets[1]) == .incomplete)
        let packet = try #require(reassembler.add(packets[0]).packet)
        let header = try IPHeader(parsing: packet.readableBytesSpan)
        #expect(header.headerLength == 48)
        #expect(header.upperLayerProtocol == .udp)
        #expect(header.totalLength == 64)
    }

    @Test func passesAtomicFragmentsByTheOthers() throws {
        var reassembler = Reassembler()
        #expect(try reassembler.add(fragment(.v6, at: 0, bytes(0, 8))) == .incomplete)
        try expectPayload(of: reassembler.add(fragment(.v6, at: 0, bytes(5, 13), isLast: true)), bytes(5, 13))
        try expectPayload(of: reassembler.add(fragment(.v6, at: 8, bytes(8, 8), isLast: true)), bytes(0, 16))
    }

    @Test func takesAWholePacketForComplete() throws {
        var reassembler = Reassembler()
        let packet = ByteBuffer(bytes: SamplePacket.udp4)
        #expect(try reassembler.add(packet) == .complete(packet))
    }
}

@Suite struct HostileFragmentTests {
    typealias Piece = (offset: Int, length: Int, isLast: Bool)

    /// The last piece of each shape contradicts those before; teardrop is the first.
    private static let overlaps: [[Piece]] = [
        [(0, 40, false), (24, 8, false)],
        [(0, 16, false), (8, 16, false)],
        [(8, 16, false), (0, 16, false)],
        [(8, 8, false), (0, 24, false)],
        [(0, 8, false), (0, 16, false)],
        [(0, 16, false), (0, 8, false)],
        [(0, 8, false), (16, 8, false), (8, 16, false)],
        [(0, 8, false), (16, 8, false), (0, 24, false)],
        [(16, 4, true), (8, 8, false), (0, 16, false)],
        [(8, 16, false), (16, 8, true)],
    ]

    @Test(arguments: overlaps, [IPVersion.v4, .v6])
    func dropsDatagramsWithOverlaps(shape: [Piece], version: IPVersion) throws {
        var reassembler = Reassembler()
        for (index, piece) in shape.enumerated() {
            let packet = fragment(version, at: piece.offset, bytes(piece.offset, piece.length), isLast: piece.isLast)
            let isContradiction = index == shape.count - 1
            #expect(try reassembler.add(packet) == (isContradiction ? .dropped(.overlap) : .incomplete))
        }
        #expect(reassembler.byteCount == 0)
        #expect(reassembler.counters.dropped == [.overlap: 1])
        // Nothing is remembered: the same identification can be used again.
        #expect(try reassembler.add(fragment(version, at: 0, bytes(0, 8))) == .incomplete)
        let last = fragment(version, at: 8, bytes(8, 8), isLast: true)
        try expectPayload(of: reassembler.add(last), bytes(0, 16))
    }

    @Test func dropsDatagramsOfWhichAFragmentComesTwiceWithOtherBytes() throws {
        var reassembler = Reassembler()
        #expect(try reassembler.add(fragment(.v4, at: 0, bytes(0, 8))) == .incomplete)
        #expect(try reassembler.add(fragment(.v4, at: 0, bytes(1, 8))) == .dropped(.overlap))
        #expect(reassembler.byteCount == 0)
    }

    private static let conflicts: [[Piece]] = [
        [(16, 8, true), (24, 8, true)],
        [(16, 8, true), (24, 8, false)],
        [(16, 8, true), (16, 8, false)],
        [(24, 8, false), (16, 8, true)],
        [(0, 40, false), (24, 8, true)],
        [(16, 8, true), (8, 8, true)],
    ]

    @Test(arguments: conflicts)
    func dropsDatagramsThatEndInTwoPlaces(shape: [Piece]) throws {
        var reassembler = Reassembler()
        for (index, piece) in shape.enumerated() {
            let packet = fragment(.v4, at: piece.offset, bytes(piece.offset, piece.length), isLast: piece.isLast)
            let isContradiction = index == shape.count - 1
            #expect(try reassembler.add(packet) == (isContradiction ? .dropped(.conflictingEnd) : .incomplete))
        }
        #expect(reassembler.byteCount == 0)
    }

    @Test(arguments: [0, 1, 7, 9])
    func dropsFragmentsOfOddLength(length: Int) throws {
        var reassembler = Reassembler()
        #expect(try reassembler.add(fragment(.v4, at: 8, bytes(0, length))) == .dropped(.length))
        #expect(try reassembler.add(fragment(.v6, at: 0, bytes(0, length))) == .dropped(.length))
        #expect(reassembler.byteCount == 0)
    }

    @Test func dropsFragmentsBeyondTheLongestPacket() throws {
        var reassembler = Reassembler()
        // The shape of the "ping of death".
        #expect(try reassembler.add(fragment(.v4, at: 65_528, bytes(0, 1480), isLast: true)) == .dropped(.tooLong))
        #expect(try reassembler.add(fragment(.v4, at: 65_512, bytes(0, 4), isLast: true)) == .dropped(.tooLong))
        #expect(try reassembler.add(fragment(.v4, at: 65_512, bytes(0, 3), isLast: true)) == .incomplete)
        #expect(try reassembler.add(fragment(.v6, at: 65_528, bytes(0, 8), isLast: true)) == .dropped(.tooLong))
        #expect(try reassembler.add(fragment(.v6, at: 65_528, bytes(0, 7), isLast: true)) == .incomplete)
        #expect(reassembler.counters.dropped == [.tooLong: 3])
    }

    @Test func dropsAFragmentHeaderWithinFragments() throws {
        var reassembler = Reassembler()
        let inner = hex("1100000100000007") + bytes(0, 8)
        _ = try reassembler.add(fragment(.v6, at: 0, inner, protocol: .fragment))
        #expect(try reassembler.add(fragment(.v6, at: 16, bytes(0, 8), isLast: true)) == .dropped(.malformed))
    }

    @Test func boundsTheFragmentsOfADatagram() throws {
        var reassembler = Reassembler()
        for index in 0..<128 {
            #expect(try reassembler.add(fragment(.v4, at: index * 16, bytes(0, 8))) == .incomplete)
        }
        #expect(try reassembler.add(fragment(.v4, at: 128 * 16, bytes(0, 8))) == .dropped(.tooManyFragments))
        #expect(reassembler.byteCount == 0)
    }
}

@Suite struct ReassemblyBoundsTests {
    @Test func staysWithinItsBoundInAFloodFromManySources() throws {
        var random = SplitMix64(seed: 5)
        var reassembler = Reassembler(limit: Bound(total: 256 << 10, perSource: 64 << 10))
        var highest = 0
        for _ in 0..<20_000 {
            let packet = fragment(
                Bool.random(using: &random) ? .v4 : .v6, at: .random(in: 0..<100, using: &random) * 8,
                [UInt8](repeating: 7, count: .random(in: 1...180, using: &random) * 8),
                isLast: Int.random(in: 0..<8, using: &random) == 0,
                identification: .random(in: 0..<50, using: &random), source: .random(in: 0..<100, using: &random))
            _ = try reassembler.add(packet)
            highest = max(highest, reassembler.byteCount)
        }
        #expect(highest <= reassembler.limit.total)
        #expect(highest > reassembler.limit.total - 4096)
        #expect(reassembler.counters.evicted > 0)
        #expect(reassembler.expire(now: .distantFuture).count <= reassembler.counters.expired)
        #expect(reassembler.byteCount == 0)
        #expect(reassembler.nextExpiry == nil)
    }

    @Test func aFloodFromOneSourceEvictsNoOther() throws {
        var reassembler = Reassembler(limit: Bound(total: 256 << 10, perSource: 64 << 10))
        #expect(try reassembler.add(fragment(.v4, at: 0, bytes(0, 800), source: 2)) == .incomplete)
        let alone = reassembler.byteCount
        for identification in 0..<2000 as Range<UInt32> {
            _ = try reassembler.add(fragment(.v4, at: 0, bytes(0, 800), identification: identification))
            #expect(reassembler.byteCount - alone <= reassembler.limit.perSource)
        }
        #expect(reassembler.counters.evicted > 1900)
        let last = fragment(.v4, at: 800, bytes(800, 8), isLast: true, source: 2)
        try expectPayload(of: reassembler.add(last), bytes(0, 808))
    }

    @Test func evictsTheOldestFirst() throws {
        var reassembler = Reassembler(limit: Bound(total: 16 << 10, perSource: 4 << 10))
        for identification in 1...3 as ClosedRange<UInt32> {
            _ = try reassembler.add(fragment(.v4, at: 0, bytes(0, 480), identification: identification))
        }
        #expect(reassembler.counters.evicted == 1)
        // The first has gone; the others are there.
        let last = { fragment(.v4, at: 480, bytes(480, 8), isLast: true, identification: $0) }
        try expectPayload(of: reassembler.add(last(3)), bytes(0, 488))
        try expectPayload(of: reassembler.add(last(2)), bytes(0, 488))
        #expect(try reassembler.add(last(1)) == .incomplete)
    }

    @Test func boundsTheNumberOfDatagrams() throws {
        var reassembler = Reassembler(limit: Bound(total: 64 << 20, perSource: 16 << 20))
        for number in 0..<1024 as Range<UInt32> {
            _ = try reassembler.add(
                fragment(.v4, at: 0, bytes(0, 8), identification: number, source: UInt8(number >> 2)))
        }
        #expect(reassembler.counters.evicted == 0)
        _ = try reassembler.add(fragment(.v6, at: 0, bytes(0, 8)))
        #expect(reassembler.counters.evicted == 1)
        #expect(reassembler.expire(now: .distantFuture).count == 1024)
    }

    @Test func countsTheHeadersItKeeps() throws {
        let options = [60, 255] + [UInt8](repeating: 0, count: 2046)
        let lastOptions = [44] + options[1...]
        let packet = Array(fragment(.v6, at: 0, bytes(0, 8)).readableBytesView)
        let long = inserting(options + options + lastOptions, startingWith: .destinationOptions, into: packet)
        var reassembler = Reassembler()
        #expect(try reassembler.add(ByteBuffer(bytes: long)) == .incomplete)
        #expect(reassembler.byteCount > long.count)
    }

    @Test func dropsADatagramThatAloneExceedsItsSourcesShare() throws {
        var reassembler = Reassembler(limit: Bound(total: 16 << 10, perSource: 4 << 10))
        #expect(try reassembler.add(fragment(.v4, at: 0, bytes(0, 1480))) == .incomplete)
        #expect(try reassembler.add(fragment(.v4, at: 1480, bytes(0, 1480))) == .dropped(.noRoom))
        #expect(reassembler.byteCount == 0)
    }

    @Test func expiresDatagramsAfter30SecondsAndTellsTheirFirstFragments() throws {
        var reassembler = Reassembler()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        #expect(reassembler.nextExpiry == nil)
        let first = fragment(.v4, at: 0, bytes(0, 8), identification: 1)
        _ = try reassembler.add(first, at: start)
        _ = try reassembler.add(fragment(.v4, at: 8, bytes(8, 8), identification: 2), at: start + .seconds(1))
        let last = fragment(.v6, at: 8, bytes(8, 8), isLast: true)
        _ = try reassembler.add(fragment(.v6, at: 0, bytes(0, 8)), at: start + .seconds(2))
        // A later fragment does not prolong a datagram's life.
        _ = try reassembler.add(fragment(.v4, at: 16, bytes(16, 8), identification: 1), at: start + .seconds(20))

        #expect(reassembler.nextExpiry == start + .seconds(30))
        #expect(reassembler.expire(now: start + .seconds(29)).isEmpty)
        #expect(reassembler.expire(now: start + .seconds(30)) == [first])
        #expect(reassembler.nextExpiry == start + .seconds(31))
        #expect(reassembler.expire(now: start + .seconds(31)).isEmpty)
        #expect(reassembler.counters.expired == 2)
        try expectPayload(of: reassembler.add(last, at: start + .seconds(31)), bytes(0, 16))
        #expect(reassembler.nextExpiry == nil)
    }
}

/// Bytes that say where in a datagram they are.
private func bytes(_ offset: Int, _ length: Int) -> [UInt8] {
    (offset..<offset + length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
}

/// One fragment of a datagram.
private func fragment(
    _ version: IPVersion, at offset: Int, _ payload: [UInt8], isLast: Bool = false, identification: UInt32 = 1,
    source: UInt8 = 1, protocol number: IPProtocolNumber = .udp
) -> ByteBuffer {
    let offsetBytes = [UInt8(offset >> 8), UInt8(offset & 0xff)]
    let identificationBytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: identification >> $0) }
    switch version {
    case .v4:
        var packet = Array(SamplePacket.udp4[..<20])
        packet.replaceSubrange(2..<4, with: [UInt8((20 + payload.count) >> 8), UInt8((20 + payload.count) & 0xff)])
        packet.replaceSubrange(4..<6, with: identificationBytes[2...])
        packet.replaceSubrange(
            6..<8, with: [UInt8(offset >> 11) | (isLast ? 0 : 0x20), UInt8(truncatingIfNeeded: offset >> 3)])
        packet[9] = number.rawValue
        packet[15] = source
        return ByteBuffer(bytes: fixingHeaderChecksum(packet) + payload)
    case .v6:
        var packet = Array(SamplePacket.udp6[..<40])
        packet[23] = source
        let header = [number.rawValue, 0, offsetBytes[0], offsetBytes[1] | (isLast ? 0 : 1)] + identificationBytes
        return ByteBuffer(bytes: inserting(header + payload, startingWith: .fragment, into: packet))
    }
}

private func expectPayload(
    of outcome: Reassembler.Outcome, _ payload: [UInt8], sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let packet = try #require(outcome.packet, sourceLocation: sourceLocation)
    let header = try IPHeader(parsing: packet.readableBytesSpan)
    #expect(header.fragment == nil, sourceLocation: sourceLocation)
    #expect(header.totalLength == packet.readableBytes, sourceLocation: sourceLocation)
    #expect(Array(packet.readableBytesView[header.payload]) == payload, sourceLocation: sourceLocation)
}

private func permutations(of items: [Int]) -> [[Int]] {
    guard items.count > 1 else { return [items] }
    return items.indices.flatMap { index in
        var rest = items
        let item = rest.remove(at: index)
        return permutations(of: rest).map { [item] + $0 }
    }
}
