// Datagrams one way, as fast as the sender goes.

import BenchmarkReport
import NIOCore
import Netstack

extension Trial {
    func datagrams(on lane: isolated Client.Lane) async throws -> Metrics {
        let socket = try await client.openUDP(port: 0, on: lane)
        _ = try await send(from: socket, for: warmUp, on: lane)
        _ = try await arrived(at: socket, on: lane)
        let (sent, nanoseconds) = try await send(from: socket, for: seconds, on: lane)
        let arrived = try await arrived(at: socket, on: lane)
        guard sent > 0 else { throw Fault("no datagram was sent") }
        return [
            .packetsPerSecond: Double(arrived) * 1e9 / Double(nanoseconds),
            .loss: 1 - Double(arrived) / Double(sent),
        ]
    }

    private func send(
        from socket: Client.Socket, for seconds: Double, on lane: isolated Client.Lane
    ) async throws -> (count: Int, nanoseconds: Int) {
        let datagram = ByteBuffer(repeating: UInt8(ascii: "U"), count: cell[.size])
        let start = Nanoseconds.now
        var (count, elapsed) = (0, 0)
        while elapsed < seconds.nanoseconds {
            for _ in 0..<32 { try await socket.send(datagram, to: servers.first) }
            count += 32
            // Stacks whose link is on the same thread carry nothing before it is their turn.
            await Task.yield()
            elapsed = Nanoseconds.now - start
        }
        return (count, elapsed)
    }

    /// How many have arrived since the last time, with those on their way.
    private func arrived(at socket: Client.Socket, on lane: isolated Client.Lane) async throws -> UInt64 {
        try await Task.sleep(for: .milliseconds(200 + cell[.roundTrip]))
        try await socket.send(ByteBuffer(string: "?"), to: servers.first)
        let answer = try await socket.receive().payload
        guard let count = answer.getInteger(at: answer.readerIndex, as: UInt64.self) else {
            throw Fault("the server's count is no number")
        }
        return count
    }
}
