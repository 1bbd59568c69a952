// The bytes that the Python peer makes of a seed, so that either side knows what the other sends.

import Crypto

/// A block of 1 MiB again and again, its first eight bytes the number of the repetition. The block is SHA-256 of the seed
/// (eight bytes, big endian) and a counter (four bytes), for 32768 counters. In pieces of at most a block.
struct SeededBytes: Sequence, IteratorProtocol {
    static let blockSize = 1 << 20

    private var block: [UInt8] = []
    private var number: UInt64 = 0
    private var left: Int

    init(seed: UInt64, count: Int) {
        left = count
        block.reserveCapacity(Self.blockSize)
        for counter in 0..<UInt32(Self.blockSize / SHA256.byteCount) {
            block += SHA256.hash(data: Self.bytes(seed) + Self.bytes(counter))
        }
    }

    mutating func next() -> [UInt8]? {
        guard left > 0 else { return nil }
        block.replaceSubrange(0..<8, with: Self.bytes(number))
        number += 1
        defer { left -= Swift.min(left, Self.blockSize) }
        return left < Self.blockSize ? Array(block[..<left]) : block
    }

    /// The SHA-256 of all of them, in hexadecimal digits.
    static func digest(seed: UInt64, count: Int) -> String {
        var hash = SHA256()
        for piece in SeededBytes(seed: seed, count: count) { hash.update(data: piece) }
        return text(hash.finalize())
    }

    /// A digest as Python writes it.
    static func text(_ digest: SHA256.Digest) -> String {
        digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }
}
