// Many connections opened at once.

import BenchmarkReport
import NIOCore

extension Trial {
    func dials() async throws -> Metrics {
        let start = Nanoseconds.now
        let (opened, last) = await withTaskGroup(of: (Client.Connection, Int)?.self) { group in
            for number in 0..<cell[.connections] {
                group.addTask { try? await dial(on: client.lane(number)) }
            }
            var (opened, last) = ([Client.Connection](), start)
            for await case let (connection, time)? in group {
                opened.append(connection)
                last = max(last, time)
            }
            return (opened, last)
        }
        for connection in opened { await connection.close() }
        return [.seconds: Double(last - start) / 1e9, .failures: Double(cell[.connections] - opened.count)]
    }

    /// A connection, and when it was open.
    private func dial(on lane: isolated Client.Lane) async throws -> (Client.Connection, Int) {
        (try await client.connect(to: servers.first, on: lane), Nanoseconds.now)
    }
}
