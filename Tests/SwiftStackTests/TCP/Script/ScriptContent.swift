// The bytes of a stream: a function of the position, so that any piece can be checked by itself.

import NIOCore

struct ScriptContent {
    private let shift: Int
    private static let period = 65_521
    /// Two periods, so that a piece of up to one is without a break.
    private static let bytes: [UInt8] = {
        var state: UInt32 = 1
        let one = (0..<period).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
        return one + one
    }()

    static let ofMachine = ScriptContent(shift: 0)
    static let ofPeer = ScriptContent(shift: 30_011)

    /// The `count` bytes from `position` on.
    func bytes(at position: Int, count: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        var done = 0
        while done < count {
            // What a peer sends from before its beginning has a negative position.
            let remainder = (position + done + shift) % Self.period
            let start = remainder < 0 ? remainder + Self.period : remainder
            let length = min(count - done, Self.period)
            buffer.writeBytes(Self.bytes[start..<start + length])
            done += length
        }
        return buffer
    }
}
