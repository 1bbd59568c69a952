// What `Trial` does with connections, done by the handlers of NIO channels.

import BenchmarkReport
import NIOCore
import NIOHTTP1
import NIOPosix

/// One measurement of one transport. All its connections are open before the warm-up, which does not count.
struct ChannelTrial: Sendable {
    let transport: any ChannelTransport
    let cell: Cell
    let seconds: Double
    private var warmUp: Double { seconds / 4 }

    func run() async throws -> Reading {
        switch cell.workload {
        case .bulk: .metrics(try await bulk())
        case .latency: .metrics(try await latency())
        case .http: .metrics(try await requests())
        case .connect, .dials, .idle, .udp: .unsupported("not measured over channels")
        }
    }

    /// What arrives counts.
    private func bulk() async throws -> Metrics {
        let counters = (0..<cell[.flows]).map { _ in Counter() }
        let server: SocketAddress
        switch cell.direction {
        case .down:
            server = try await transport.serve(adding { BulkSender() })
        case .up:
            // Connections are accepted one after the other.
            let accepted = Counter()
            server = try await transport.serve(
                adding {
                    defer { accepted.add(1) }
                    return BulkReceiver(counters[accepted.value])
                })
        }
        return try await watch(counters, at: server) { counter in
            switch cell.direction {
            case .down: adding { BulkReceiver(counter) }
            case .up: adding { BulkSender() }
            }
        }.bulkMetrics
    }

    private func latency() async throws -> Metrics {
        let server = try await transport.serve(adding { EchoHandler() })
        let end = Nanoseconds.now + (warmUp + seconds).nanoseconds
        let done = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: [Int].self)
        _ = try await transport.connect(to: server, adding { PingHandler(until: end, done) })
        let times = try await done.futureResult.get()
        return try times.dropFirst(Int(Double(times.count) * warmUp / (warmUp + seconds))).sorted().latencyMetrics
    }

    /// GET requests by NIO's codecs, each client with a connection of its own.
    private func requests() async throws -> Metrics {
        let server = try await transport.serve { channel in
            channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                try channel.pipeline.syncOperations.addHandler(HTTPServerHandler())
            }
        }
        let counters = (0..<cell[.concurrency]).map { _ in Counter() }
        let answers = try await watch(counters, at: server) { counter in
            { channel in
                channel.pipeline.addHTTPClientHandlers().flatMapThrowing {
                    try channel.pipeline.syncOperations.addHandler(HTTPClientHandler(counter))
                }
            }
        }
        return [.perSecond: answers.perSecond, .failures: 0]
    }

    /// Opens a connection for each counter, and watches what they count.
    ///
    /// - Throws: `Fault` when a connection has ended by then.
    private func watch(
        _ counters: [Counter], at server: SocketAddress,
        _ initializer: (Counter) -> ChannelTransport.Initializer
    ) async throws -> Throughput {
        var channels: [any Channel] = []
        for counter in counters { channels.append(try await transport.connect(to: server, initializer(counter))) }
        let throughput = try await Throughput(of: counters, after: warmUp, for: seconds, Usage())
        guard channels.allSatisfy(\.isActive) else { throw Fault("a connection has ended") }
        return throughput
    }

    private func adding(_ make: @escaping @Sendable () -> some ChannelHandler) -> ChannelTransport.Initializer {
        { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(make()) }
        }
    }
}
