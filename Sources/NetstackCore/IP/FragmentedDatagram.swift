// The fragments of one datagram, until they are complete.

import NIOCore

/// Disjoint pieces of a datagram, in order of their offsets.
struct FragmentedDatagram {
    /// When to give up on it.
    let expiry: NIODeadline
    /// What it occupies, in bytes: an estimate on the safe side.
    private(set) var memory = Self.overhead
    private var pieces: [Piece] = []
    /// The bytes in all pieces.
    private var byteCount = 0
    /// Where the last fragment ends, once it has come.
    private var end: Int?
    /// The header of the first fragment, once it has come: the datagram's own (RFC 8200 section 4.5).
    private var firstHeader: IPHeader?
    /// Whether congestion was experienced on the way of any: it was on the datagram's (RFC 3168 section 5.3).
    private var congestionExperienced = false

    /// Enough for 65,535 bytes at an MTU of 576 bytes, which takes 119.
    private static let maximumPieces = 128
    /// This struct, its key wherever it is kept, and the unused half of tables that grow.
    static let overhead = 768

    init(expiry: NIODeadline) { self.expiry = expiry }

    /// The payload of a fragment.
    struct Piece {
        let offset: Int
        /// In the first piece, the bytes before the readable ones are the packet's header.
        let payload: ByteBuffer

        var end: Int { offset + payload.readableBytes }
        /// The buffer's storage, its object and the unused half of the array it is in.
        var memory: Int { payload.storageCapacity + 160 }
    }

    /// What becomes of a fragment.
    enum Placement {
        /// It belongs before the piece that is at this index now.
        case before(Int)
        /// It is here already.
        case duplicate
        /// It contradicts another; the datagram can't be trusted any more.
        case conflict(Reassembler.DropReason)
    }

    /// Where a fragment belongs. Pieces that overlap are an attack or an error, never a service (RFC 5722).
    func placement(of piece: Piece, isLast: Bool) -> Placement {
        if isLast {
            if let end, end != piece.end { return .conflict(.conflictingEnd) }
            if let highest = pieces.last, highest.end > piece.end { return .conflict(.conflictingEnd) }
        } else if let end, piece.end >= end {
            return .conflict(.conflictingEnd)
        }
        // Fragments mostly come in order, so the search starts at the end.
        var index = pieces.endIndex
        while index > 0, pieces[index - 1].offset >= piece.offset { index -= 1 }
        if index < pieces.endIndex, pieces[index].offset == piece.offset, pieces[index].payload == piece.payload {
            return .duplicate
        }
        if index < pieces.endIndex, piece.end > pieces[index].offset { return .conflict(.overlap) }
        if index > 0, pieces[index - 1].end > piece.offset { return .conflict(.overlap) }
        return pieces.count < Self.maximumPieces ? .before(index) : .conflict(.tooManyFragments)
    }

    /// Adds a fragment at the place found for it.
    mutating func insert(_ piece: Piece, before index: Int, header: IPHeader, isLast: Bool) {
        pieces.insert(piece, at: index)
        byteCount += piece.payload.readableBytes
        memory += piece.memory
        if isLast { end = piece.end }
        if piece.offset == 0 { firstHeader = header }
        if header.congestionExperienced { congestionExperienced = true }
    }

    /// Whether no piece is missing: as none overlap, it is enough to count.
    var isComplete: Bool { byteCount == end }

    /// The first fragment as it came, if it has come.
    var firstFragment: ByteBuffer? {
        guard firstHeader != nil, var packet = pieces.first?.payload else { return nil }
        packet.moveReaderIndex(to: 0)
        return packet
    }

    /// The packet that the pieces make; nil if it would be too long.
    func assembled() -> ByteBuffer? {
        guard let header = firstHeader, let first = firstFragment, byteCount <= header.maximumReassembledLength else {
            return nil
        }
        let headerLength = header.unfragmentableLength
        var packet = ByteBufferAllocator().buffer(capacity: headerLength + byteCount)
        packet.writeBytes(first.readableBytesSpan.extracting(0..<headerLength))
        for piece in pieces { packet.writeImmutableBuffer(piece.payload) }
        // The second byte of both headers has it, in other bits.
        let codepoint: UInt8 = header.version == .v4 ? 0x03 : 0x30
        if congestionExperienced, let byte = packet.getInteger(at: 1, as: UInt8.self) {
            packet.setInteger(byte | codepoint, at: 1)
        }
        switch header.version {
        case .v4:
            packet.setInteger(UInt16(truncatingIfNeeded: packet.readableBytes), at: 2)
            packet.setInteger(UInt16(0), at: 6)
            packet.setInteger(UInt16(0), at: 10)
            packet.setChecksum(at: 10, ofBytesFrom: 0, length: headerLength)
        case .v6:
            packet.setInteger(UInt16(truncatingIfNeeded: packet.readableBytes - IPHeader.ipv6Length), at: 4)
            packet.setInteger(header.upperLayerProtocol.rawValue, at: header.fragment?.nextHeaderOffset ?? 6)
        }
        return packet
    }
}

extension IPHeader {
    /// A fragment's header without what fragmentation has added to it, in bytes.
    fileprivate var unfragmentableLength: Int { version == .v4 ? headerLength : headerLength - 8 }

    /// The longest payload, in bytes, that fragments with this header can make together.
    var maximumReassembledLength: Int {
        switch version {
        case .v4: 65_535 - unfragmentableLength
        case .v6: 65_535 - (unfragmentableLength - Self.ipv6Length)
        }
    }
}
