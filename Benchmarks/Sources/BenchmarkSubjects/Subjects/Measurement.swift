// Measures one cell in this process.

package import BenchmarkReport
package import Netstack
import SwiftStack

/// - Parameters:
///   - seconds: how long to measure, after a warm-up of a quarter of it.
///   - server: the kernel's server; not all cells need it.
package func measure(_ cell: Cell, seconds: Double, server: TransportAddress?) async throws -> Reading {
    guard Stack.mtuRange.contains(cell[.mtu]) else { return .unsupported("no stack has such an MTU") }
    for parameter in Parameter.allCases where ![.roundTrip, .loss].contains(parameter) {
        guard cell[parameter] > 0 else { throw Fault("--\(parameter.rawValue) must be above 0") }
    }
    guard seconds > 0, cell[.roundTrip] >= 0, cell[.loss] >= 0 else {
        throw Fault("times and losses can't be negative")
    }
    let roundTrip = Duration.milliseconds(cell[.roundTrip])
    func kernelServer() throws -> TransportAddress {
        guard let server else {
            throw Fault("\(cell.subject.rawValue) needs the --server that `vni-bench serve` prints")
        }
        return server
    }
    func measureTunnel(_ stack: ExitProcess.StackKind, over link: ExitProcess.LinkKind) async throws -> Reading {
        guard roundTrip == .zero else { return .unsupported("the delay link is within one process") }
        let server = try kernelServer()
        return try await measure(Tunnel(stack, over: link, mtu: cell[.mtu]), cell, seconds, server)
    }
    func measureChannels(_ tcp: TCPImplementation) async throws -> Reading {
        let channels = try await StackChannels(tcp, mtu: cell[.mtu], roundTrip: roundTrip)
        return try await ChannelTrial(transport: channels, cell: cell, seconds: seconds).run()
    }
    switch cell.subject {
    case .kernel:
        guard cell.workload != .idle else { return .unsupported("the kernel's memory is not the process's") }
        guard roundTrip == .zero else { return .unsupported("the kernel's loopback has no delay") }
        let client = KernelClient(threads: max(cell[.flows], cell[.concurrency]))
        return try await Trial(client, Servers(kernelServer()), Usage(), cell, seconds).run()
    case .stack:
        return try await measure(.lwIP, cell, seconds, roundTrip)
    case .swiftStack:
        return try await measure(.swift, cell, seconds, roundTrip)
    case .stackPackets:
        return try await measure(.lwIP, cell, seconds, roundTrip, offloading: false)
    case .swiftStackPackets:
        return try await measure(.swift, cell, seconds, roundTrip, offloading: false)
    case .tunnel:
        let server = try kernelServer()
        return try await measure(Tunnel(.lwIP, mtu: cell[.mtu], roundTrip: roundTrip), cell, seconds, server)
    case .swiftTunnel:
        let server = try kernelServer()
        return try await measure(Tunnel(.swift, mtu: cell[.mtu], roundTrip: roundTrip), cell, seconds, server)
    case .tunnelTCP: return try await measureTunnel(.lwip, over: .tcp)
    case .swiftTunnelTCP: return try await measureTunnel(.swift, over: .tcp)
    case .tunnelUnix: return try await measureTunnel(.lwip, over: .unix)
    case .swiftTunnelUnix: return try await measureTunnel(.swift, over: .unix)
    case .tunnelLibP2P: return try await measureTunnel(.lwip, over: .libp2p)
    case .swiftTunnelLibP2P: return try await measureTunnel(.swift, over: .libp2p)
    case .nioKernel:
        guard roundTrip == .zero else { return .unsupported("the kernel's loopback has no delay") }
        return try await ChannelTrial(transport: KernelChannels(), cell: cell, seconds: seconds).run()
    case .nioStack: return try await measureChannels(.lwIP)
    case .nioSwiftStack: return try await measureChannels(.swift)
    case .libP2P:
        guard roundTrip == .zero else { return .unsupported("the kernel's loopback has no delay") }
        // Hosts go with stacks, whose first lets the C library keep memory: without, page faults double what both cost.
        _ = try Stack()
        return try await ChannelTrial(transport: LibP2PChannels(), cell: cell, seconds: seconds).run()
    case .chaCha20Poly1305:
        _ = try Stack()
        return try encryptionAlone(cell, seconds: seconds)
    case .cLoop, .cLoopStock, .gvisor, .gvisorChecksums, .gvisorAsItComes, .gvisorTunnel:
        return .unsupported("another program's subject")
    }
}

/// Of one stack to another.
private func measure(
    _ tcp: TCPImplementation, _ cell: Cell, _ seconds: Double, _ roundTrip: Duration, offloading: Bool = true
) async throws -> Reading {
    let (client, server) = try await NetstackHost.pair(
        tcp, mtu: cell[.mtu], roundTrip: roundTrip, loss: cell[.loss], offloading: offloading)
    _ = try await StackServer(on: server)
    return try await Trial(client, Servers(on: server), Usage(), cell, seconds).run()
}

private func measure(
    _ tunnel: Tunnel, _ cell: Cell, _ seconds: Double, _ server: TransportAddress
) async throws -> Reading {
    let trial = Trial(tunnel.client, tunnel.servers(for: server), tunnel.usage, cell, seconds)
    let reading = try await trial.run()
    await tunnel.shutdown()
    return reading
}
