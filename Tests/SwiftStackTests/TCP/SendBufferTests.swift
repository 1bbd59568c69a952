// What the send buffer keeps of writes, and gives back of them.

import NIOCore
import SwiftStack
import Testing

@Suite struct SendBufferTests {
    /// `count` bytes of a sequence whose period is a prime number, from its position `offset`.
    private func pattern(_ count: Int, from offset: Int = 0) -> ByteBuffer {
        ByteBuffer(bytes: (offset..<offset + count).map { UInt8($0 % 251) })
    }

    /// Takes `bytes` in parts of the given lengths.
    private func buffer(_ bytes: ByteBuffer, _ lengths: [Int]) -> TCPSendBuffer {
        var (buffer, rest) = (TCPSendBuffer(), bytes)
        for length in lengths { buffer.append(&rest, length: length) }
        return buffer
    }

    private func address(_ bytes: ByteBuffer) -> UInt {
        bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }

    @Test func partsOfOneWriteAreOnePiece() {
        let written = pattern(100_000)
        let buffer = buffer(written, [30_000, 50_000, 20_000])
        #expect(buffer.count == 100_000)
        let bytes = buffer.bytes(from: 20_000, count: 70_000)
        #expect(bytes == pattern(70_000, from: 20_000))
        #expect(address(bytes) == address(written) + 20_000)
    }

    /// Else whoever holds a few bytes would hold all that was written with them.
    @Test func fewBytesOfALongWriteAreCopied() {
        let written = pattern(100_000)
        let bytes = buffer(written, [100_000]).bytes(from: 50_000, count: 1500)
        #expect(bytes == pattern(1500, from: 50_000))
        #expect(address(bytes) != address(written) + 50_000)
    }

    @Test func bytesOfTwoWritesAreJoined() {
        var buffer = buffer(pattern(10_000), [10_000])
        var next = pattern(10_000, from: 10_000)
        next.reserveCapacity(20_000)
        buffer.append(&next, length: 10_000)
        #expect(buffer.bytes(from: 5000, count: 10_000) == pattern(10_000, from: 5000))
    }

    @Test func aPartThatWasChangedMeanwhileIsAPieceOfItsOwn() {
        var (buffer, rest) = (TCPSendBuffer(), pattern(20_000))
        buffer.append(&rest, length: 10_000)
        rest.setRepeatingByte(0xff, count: 10_000, at: rest.readerIndex)
        buffer.append(&rest, length: 10_000)
        #expect(buffer.bytes(from: 0, count: 10_000) == pattern(10_000))
        #expect(buffer.bytes(from: 10_000, count: 10_000) == ByteBuffer(repeating: 0xff, count: 10_000))
    }

    @Test func smallWritesAreGathered() {
        var buffer = TCPSendBuffer()
        for position in 0..<3000 {
            var byte = pattern(1, from: position)
            buffer.append(&byte, length: 1)
        }
        #expect(buffer.bytes(from: 0, count: 3000) == pattern(3000))
    }

    @Test func whatIsAcknowledgedGoesFromTheFront() {
        var buffer = buffer(pattern(50_000), [20_000, 30_000])
        buffer.removeFirst(25_000)
        #expect(buffer.count == 25_000)
        #expect(buffer.bytes(from: 1000, count: 24_000) == pattern(24_000, from: 26_000))
        buffer.removeFirst(25_000)
        #expect(buffer.count == 0)
    }
}
