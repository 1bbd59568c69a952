// What a run measures.

package enum Plan {
    private static let stacks: [Subject] = [.cLoop, .stack, .swiftStack, .gvisor]
    private static let channels: [Subject] = [.nioKernel, .nioStack, .nioSwiftStack]
    private static let libP2P: [Subject] = [.libP2P, .chaCha20Poly1305]
    private static let tunnels: [Subject] = [
        .tunnel, .swiftTunnel, .tunnelTCP, .swiftTunnelTCP, .tunnelUnix, .swiftTunnelUnix, .tunnelLibP2P,
        .swiftTunnelLibP2P, .gvisorTunnel,
    ]

    package static let sections = [
        Section(
            "One flow, by MTU", .bulk, [.down, .up], by: .mtu, [1500, 9000, 16384, 65535],
            Subject.allCases.filter { !(channels + libP2P).contains($0) }),
        Section(
            "Flows at once, MTU 1500", .bulk, [.down, .up], by: .flows, [1, 8, 64],
            [.kernel] + stacks + channels + tunnels),
        Section("Streams of libp2p", .bulk, [.down, .up], by: .flows, [1, 20], [.nioKernel] + libP2P),
        Section(
            "One flow over a long way, MTU 1500", .bulk, by: .roundTrip, [5, 20, 100],
            [.stack, .swiftStack, .tunnel, .swiftTunnel, .gvisor, .gvisorTunnel]),
        Section(
            "One flow over 20 ms, with packets lost, MTU 1500", .bulk, by: .loss, [0, 10, 100, 500],
            [.stack, .swiftStack], with: [.roundTrip: 20]),
        Section(
            "Request and response of one byte", .latency, by: .mtu, [1500],
            [.kernel] + stacks + channels + [.libP2P] + tunnels),
        Section(
            "Connect, request, response, close", .connect, by: .concurrency, [1, 32, 64],
            [.kernel] + stacks + tunnels),
        Section("Dials at once", .dials, by: .connections, [1000], [.kernel] + stacks + tunnels),
        Section(
            "HTTP requests over kept connections", .http, by: .concurrency, [1, 32, 64],
            [.kernel, .stack, .swiftStack, .gvisor] + channels + tunnels),
        Section("Idle connections", .idle, by: .connections, [100, 1000, 10_000, 50_000], stacks),
        Section("Datagrams one way", .udp, by: .size, [64, 1400], [.kernel] + stacks + tunnels),
    ]

    /// The cells of a round. None is twice in it, though it may be in several sections.
    package static let cells: [Cell] = {
        var seen: Set<Cell> = []
        return sections.flatMap(\.cells).filter { seen.insert($0).inserted }
    }()
}
