// What all workloads start from: a client, its servers, and how long to go on.

import BenchmarkReport
import NIOCore
import Netstack

/// One measurement of one client. Each workload is an extension in a file of its own.
struct Trial<Client: BenchmarkClient>: Sendable {
    let client: Client
    let servers: Servers
    let usage: Usage
    let cell: Cell
    /// How long is measured, after a warm-up.
    let seconds: Double
    var warmUp: Double { seconds / 4 }

    init(_ client: Client, _ servers: Servers, _ usage: Usage, _ cell: Cell, _ seconds: Double) {
        self.client = client
        self.servers = servers
        self.usage = usage
        self.cell = cell
        self.seconds = seconds
    }

    func run() async throws -> Reading {
        try await withTaskExecutorPreference(client.executor) { try await runHere() }
    }

    private func runHere() async throws -> Reading {
        switch cell.workload {
        case .bulk: .metrics(try await bulk())
        case .latency: .metrics(try await latency(on: client.lane(0)))
        case .connect: .metrics(try await connects())
        case .dials: .metrics(try await dials())
        case .http: .metrics(try await requests())
        case .idle: .metrics(try await idle(on: client.lane(0)))
        case .udp: .metrics(try await datagrams(on: client.lane(0)))
        }
    }
}
