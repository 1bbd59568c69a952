// Messages there and back, one after the other, each timed.

import BenchmarkReport
import NIOCore

extension Trial {
    /// Sorted times in nanoseconds.
    ///
    /// - Parameter choose: the connection for the next message.
    func times(
        for seconds: Double, size: Int = 1, on lane: isolated Client.Lane,
        over choose: (inout Dice) -> Client.Connection
    ) async throws -> [Int] {
        let message = ByteBuffer(repeating: 0, count: size)
        var (times, dice) = ([Int](), Dice())
        var now = Nanoseconds.now
        let end = now + seconds.nanoseconds
        while now < end {
            try await exchange(message, over: choose(&dice), on: lane)
            let after = Nanoseconds.now
            times.append(after - now)
            now = after
        }
        return times.sorted()
    }

    private func exchange(
        _ message: ByteBuffer, over connection: Client.Connection, on lane: isolated Client.Lane
    ) async throws {
        try await connection.write(message)
        var missing = message.readableBytes
        while missing > 0 {
            guard let bytes = try await connection.read(upTo: missing) else {
                throw Fault("the server has closed a connection")
            }
            missing -= bytes.readableBytes
        }
    }
}

/// Random numbers that cost a nanosecond and are the same in each run (SplitMix64).
struct Dice {
    private var state: UInt64 = 0

    mutating func next(below limit: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var number = state
        number = (number ^ number >> 30) &* 0xbf58_476d_1ce4_e5b9
        number = (number ^ number >> 27) &* 0x94d0_49bb_1331_11eb
        return Int((number ^ number >> 31) % UInt64(limit))
    }
}
