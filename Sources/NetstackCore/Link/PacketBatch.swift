// IP packets back to back in one buffer: what links and stacks hand each other.

public import NIOCore

/// Whole IP packets, in order, that travel together.
///
/// The packets lie back to back in one buffer, so that a batch costs one allocation and a stream link can write
/// it as it is: over a byte stream, packets need no delimiter beyond their own length.
public struct PacketBatch: Sendable {
    /// All packets, one after the other.
    public private(set) var bytes: ByteBuffer
    /// Where each packet ends, counted from the first byte of the first packet ever in the batch.
    private var ends: [Int]
    /// How many packets, and bytes, have been taken from the front.
    private var taken = 0
    private var takenBytes = 0

    /// An empty batch with room for `capacity` bytes.
    public init(capacity: Int = 0) {
        bytes = ByteBuffer()
        bytes.reserveCapacity(capacity)
        ends = []
    }

    /// A batch of one packet.
    public init(_ packet: ByteBuffer) {
        bytes = packet
        ends = [packet.readableBytes]
    }

    /// Takes packets that already lie back to back; the last of `ends` is the length of `bytes`.
    package init(bytes: ByteBuffer, ends: [Int]) {
        assert(ends.last ?? 0 == bytes.readableBytes)
        self.bytes = bytes
        self.ends = ends
    }

    /// The length of all packets together, in bytes.
    public var byteCount: Int { bytes.readableBytes }

    /// Adds one packet.
    public mutating func append(_ packet: ByteBuffer) {
        bytes.writeImmutableBuffer(packet)
        ends.append(takenBytes + bytes.readableBytes)
    }

    /// Adds the packet that `write` appends to the buffer; nothing when it appends nothing.
    package mutating func append(_ write: (inout ByteBuffer) -> Void) {
        let before = bytes.readableBytes
        write(&bytes)
        if bytes.readableBytes > before { ends.append(takenBytes + bytes.readableBytes) }
    }

    /// Adds `count` packets of `length` bytes each, the last of them shorter, `total` bytes in all, which `write` fills.
    package mutating func append(
        count: Int, length: Int, total: Int, _ write: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let start = takenBytes + bytes.readableBytes
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: total) {
            write(UnsafeMutableRawBufferPointer(rebasing: $0[..<total]))
            return total
        }
        for index in 1..<count { ends.append(start + index * length) }
        ends.append(start + total)
    }

    /// Adds the packets of another batch after these.
    public mutating func append(contentsOf other: PacketBatch) {
        let offset = takenBytes + bytes.readableBytes - other.takenBytes
        bytes.writeImmutableBuffer(other.bytes)
        for end in other.ends[other.taken...] { ends.append(offset + end) }
    }

    /// Takes the first packet, in constant time.
    public mutating func popFirst() -> ByteBuffer? {
        guard taken < ends.count else { return nil }
        let end = ends[taken]
        defer {
            taken += 1
            takenBytes = end
        }
        return bytes.readSlice(length: end - takenBytes)
    }

    /// Calls `body` with the place of each packet in `bytes`, counted from the first readable byte.
    package func forEachRange(_ body: (Range<Int>) -> Void) {
        var start = 0
        for end in ends[taken...] {
            body(start..<(end - takenBytes))
            start = end - takenBytes
        }
    }
}

extension PacketBatch: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { ends.count - taken }

    /// The packet at `position`, as a slice that shares the batch's storage.
    public subscript(position: Int) -> ByteBuffer {
        let start = position == 0 ? takenBytes : ends[taken + position - 1]
        let length = ends[taken + position] - start
        // In bounds by construction: `ends` grows only with the bytes behind it.
        return bytes.getSlice(at: bytes.readerIndex + start - takenBytes, length: length) ?? ByteBuffer()
    }
}
