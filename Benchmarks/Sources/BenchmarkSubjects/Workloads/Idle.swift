// Many open connections: what each takes, and what it costs to find one among them.

import BenchmarkReport
import NIOCore

extension Trial {
    /// At the server a task waits for each connection, as in any server.
    func idle(on lane: isolated Client.Lane) async throws -> Metrics {
        let count = cell[.connections]
        var connections: [Client.Connection] = []
        connections.reserveCapacity(count)
        let (memory, start) = (Usage.resident, Nanoseconds.now)
        for number in 0..<count {
            connections.append(try await client.connect(to: servers.all[number % servers.all.count], on: lane))
        }
        let connectTime = Double(Nanoseconds.now - start) / Double(count)
        for connection in connections {
            try await connection.write(ByteBuffer(string: "E."))
            guard try await connection.read(upTo: 1) != nil else { throw Fault("there was no echo") }
        }
        try await Task.sleep(for: .seconds(warmUp))
        let growth = Usage.resident - memory

        let times = try await times(for: seconds, size: 64, on: lane) { connections[$0.next(below: count)] }
        guard let messageTime = times.percentile(0.5) else { throw Fault("there was no answer") }
        return [
            .bytesPerConnection: growth / Double(count),
            .messageTime: Double(messageTime) / 1e3,
            .connectTime: connectTime / 1e3,
            .longestTick: Double(await longestHold(of: lane)) / 1e3,
        ]
    }

    /// The longest that anything held the lane while nothing was to be done: its timers. In nanoseconds, of which those
    /// spent on other threads and processes don't count.
    private func longestHold(of lane: isolated Client.Lane) async -> Int {
        let end = Nanoseconds.now + seconds.nanoseconds
        var (longest, last) = (0, Nanoseconds.ofThisThread)
        while Nanoseconds.now < end {
            await Task.yield()
            let now = Nanoseconds.ofThisThread
            longest = max(longest, now - last)
            last = now
        }
        return longest
    }
}
