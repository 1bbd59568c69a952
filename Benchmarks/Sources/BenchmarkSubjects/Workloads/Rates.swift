// How often in a second: connections that come and go, and HTTP requests over kept ones.

import BenchmarkReport
import NIOCore

extension Trial {
    /// Connect, a byte there and back, close.
    func connects() async throws -> Metrics {
        try await rate(clients: cell[.concurrency]) { _, lane in
            let connection = try await client.connect(to: servers.first, on: lane)
            try await connection.write(ByteBuffer(string: "E."))
            guard try await connection.read(upTo: 1)?.readableBytes == 1 else { throw Fault("there was no echo") }
            await connection.close()
        }
    }

    /// GET requests, each client with a connection of its own.
    func requests() async throws -> Metrics {
        var clients: [PlainHTTPClient<Client.Connection>] = []
        for number in 0..<cell[.concurrency] {
            clients.append(PlainHTTPClient(try await client.connect(to: servers.first, on: client.lane(number))))
        }
        let opened = clients
        return try await rate(clients: opened.count) { number, _ in
            guard try await opened[number].get() == HTTPBytes.body else { throw Fault("another body came back") }
        }
    }

    private typealias Attempt = @Sendable (_ number: Int, isolated Client.Lane) async throws -> Void

    private func rate(clients: Int, _ attempt: @escaping Attempt) async throws -> Metrics {
        let start = Nanoseconds.now + warmUp.nanoseconds
        let window = start..<start + seconds.nanoseconds
        return try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for number in 0..<clients {
                group.addTask { await attempts(number, in: window, attempt, on: client.lane(number)) }
            }
            var (successes, failures) = (0, 0)
            for try await (more, failed) in group {
                successes += more
                failures += failed
            }
            return [.perSecond: Double(successes) / seconds, .failures: Double(failures)]
        }
    }

    /// Tries again and again, and counts what ends within the window.
    private func attempts(
        _ number: Int, in window: Range<Int>, _ attempt: Attempt, on lane: isolated Client.Lane
    ) async -> (successes: Int, failures: Int) {
        var (successes, failures) = (0, 0)
        while Nanoseconds.now < window.upperBound {
            do {
                try await attempt(number, lane)
                if window.contains(Nanoseconds.now) { successes += 1 }
            } catch {
                failures += 1
                // One that fails at once would else keep the lane to itself.
                await Task.yield()
            }
        }
        return (successes, failures)
    }
}
