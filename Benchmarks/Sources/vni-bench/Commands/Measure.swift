// `vni-bench measure`: one cell, in this process.

import ArgumentParser
import BenchmarkReport
import BenchmarkSubjects
import Netstack

struct Measure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measures one subject in this process, and prints a line of JSON.")

    @Option var subject = Subject.stack
    @Option var workload = Workload.bulk
    @Option(help: "Bulk data: which way it goes.") var direction = Direction.down
    @Option(help: "Of the link, in bytes.") var mtu = Parameter.mtu.defaultValue
    @Option(help: "Bulk data: flows at once.") var flows = Parameter.flows.defaultValue
    @Option(help: "Of the link, in milliseconds; 0 for as little as it can.") var rttMs = Parameter.roundTrip
        .defaultValue
    @Option(help: "Of the link: packets lost of 10,000.") var loss = Parameter.loss.defaultValue
    @Option(help: "Clients at once.") var concurrency = Parameter.concurrency.defaultValue
    @Option(help: "Dials at once, or open connections.") var connections = Parameter.connections.defaultValue
    @Option(help: "Datagrams: bytes of payload.") var size = Parameter.size.defaultValue
    @Option(help: "How long to measure, after a warm-up of a quarter of it.") var seconds = 1.0
    @Option(help: "The kernel's server, as `vni-bench serve` prints it.") var server: String?

    func run() async throws {
        let cell = Cell(
            subject, workload, direction,
            [
                .mtu: mtu, .flows: flows, .roundTrip: rttMs, .loss: loss, .concurrency: concurrency,
                .connections: connections,
                .size: size,
            ])
        raiseDescriptorLimit()
        let reading = try await measure(cell, seconds: seconds, server: server.map { try TransportAddress($0) })
        print(try reading.output(for: cell))
    }
}

extension Subject: ExpressibleByArgument {}
extension Workload: ExpressibleByArgument {}
extension Direction: ExpressibleByArgument {}
