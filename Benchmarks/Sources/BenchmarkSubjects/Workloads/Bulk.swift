// Bulk data one way, in several flows.

import BenchmarkReport
import NIOCore

extension Trial {
    /// All flows are open before the warm-up, which does not count.
    func bulk() async throws -> Metrics {
        let flows = cell[.flows]
        let counters = (0..<flows).map { _ in Counter() }
        var connections: [Client.Connection] = []
        for flow in 0..<flows { connections.append(try await open(on: client.lane(flow))) }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for (flow, connection) in connections.enumerated() {
                group.addTask {
                    switch cell.direction {
                    case .down: try await receive(from: connection, counters[flow], on: client.lane(flow))
                    case .up: try await send(to: connection, counters[flow], on: client.lane(flow))
                    }
                }
            }
            let throughput = try await Throughput(of: counters, after: warmUp, for: seconds, usage)
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
            return try throughput.bulkMetrics
        }
    }

    private func open(on lane: isolated Client.Lane) async throws -> Client.Connection {
        let connection = try await client.connect(to: servers.first, on: lane)
        try await connection.write(ByteBuffer(string: cell.direction == .down ? "D" : "U"))
        return connection
    }

    private func receive(
        from connection: Client.Connection, _ counter: Counter, on lane: isolated Client.Lane
    ) async throws {
        while !Task.isCancelled {
            guard let bytes = try await connection.read(upTo: .max) else { throw Fault("the server has closed a flow") }
            counter.add(bytes.readableBytes)
        }
    }

    /// What the stack has taken counts: a window more than what has arrived, at the start as at the end.
    private func send(
        to connection: Client.Connection, _ counter: Counter, on lane: isolated Client.Lane
    ) async throws {
        while !Task.isCancelled {
            try await connection.write(Payload.bulk)
            counter.add(Payload.bulk.readableBytes)
        }
    }
}
