// An owner's policy decides about each dial.

import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

/// Decides always the same, and remembers what about.
actor RecordingPolicy: ExitPolicy {
    private let decision: ExitDecision
    private(set) var dials: [ExitDial] = []

    init(_ decision: ExitDecision) { self.decision = decision }

    func decide(on dial: ExitDial) async -> ExitDecision {
        dials.append(dial)
        return decision
    }
}

/// Holds every decision back until it is told.
actor HesitantPolicy: ExitPolicy {
    private var waiting: [CheckedContinuation<ExitDecision, Never>] = []

    var count: Int { waiting.count }

    func decide(on dial: ExitDial) async -> ExitDecision { await withCheckedContinuation { waiting.append($0) } }

    func decide(_ decision: ExitDecision) {
        for continuation in waiting { continuation.resume(returning: decision) }
        waiting = []
    }
}

extension Tunnel {
    /// A tunnel over memory whose exit has a policy, or bounds of its own.
    static func with(
        policy: (any ExitPolicy)? = nil, exitLimits: ExitLimits = .init(), endpointIndependentUDP: Bool = false,
        _ body: @Sendable (Tunnel) async throws -> Void
    ) async throws {
        try await with(
            .memory,
            exit: {
                $0.policy = policy
                $0.exitLimits = exitLimits
                $0.endpointIndependentUDP = endpointIndependentUDP
            }, body)
    }
}

@Suite struct ExitPolicyTests {
    @Test func aPolicyIsAskedOnceForEachDialWithAllThereIsToKnow() async throws {
        let server = try KernelServer.echo()
        let peer = try KernelEchoSocket()
        let policy = RecordingPolicy(.allow)
        try await Tunnel.with(policy: policy) { tunnel in
            let connection = try await tunnel.connect(port: server.port)
            try await connection.write("hello")
            _ = try await connection.read(exactly: 5)
            let socket = try await tunnel.entrance.stack.openUDP()
            for _ in 0..<3 {
                try await socket.send(ByteBuffer(string: "x"), to: TransportAddress(Tunnel.host, peer.port))
                _ = try await socket.receive()
            }
            let source = VirtualInterface.defaultAddresses(.entrance)[0]
            let tcp = ExitDial(
                .tcp, from: connection.localAddress, to: TransportAddress(Tunnel.host, server.port),
                target: TransportAddress(.v4(.loopback), server.port))
            let udp = ExitDial(
                .udp, from: TransportAddress(source, socket.localAddress.port),
                to: TransportAddress(Tunnel.host, peer.port), target: TransportAddress(.v4(.loopback), peer.port))
            #expect(await policy.dials == [tcp, udp])
        }
    }

    @Test func aPolicyCanProhibitRefuseOrSayNothing() async throws {
        let port = try KernelServer.echo().port
        let address = TransportAddress(Tunnel.host, port)
        let outcomes: [(ExitDecision, NetstackError, Duration)] = [
            (.prohibit, .prohibited(address), .seconds(30)), (.refuse, .refused(address), .seconds(30)),
            (.drop, .timedOut(address), .milliseconds(300)),
        ]
        for (decision, error, timeout) in outcomes {
            try await Tunnel.with(policy: RecordingPolicy(decision)) { tunnel in
                await #expect(throws: error) {
                    try await tunnel.entrance.stack.connect(to: address, timeout: timeout)
                }
            }
        }
        try await Tunnel.with(policy: RecordingPolicy(.refuse)) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            try await socket.send(ByteBuffer(string: "x"), to: address)
            await #expect(throws: NetstackError.unreachable(address, .port)) { try await socket.receive() }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func aPolicyCanRewriteTheDestination(_ version: IPVersion) async throws {
        let server = try KernelServer.echo(version)
        let peer = try KernelEchoSocket(version)
        let loopback = IPAddress.loopback(version)
        // Dialled over IPv4, whatever the version of what it leads to.
        try await Tunnel.with(policy: RecordingPolicy(.redirect(TransportAddress(loopback, server.port)))) { tunnel in
            let connection = try await tunnel.connect(port: 1)
            try await connection.write("hello")
            #expect(try await connection.read(exactly: 5) == ByteBuffer(string: "hello"))
        }
        try await Tunnel.with(policy: RecordingPolicy(.redirect(TransportAddress(loopback, peer.port)))) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let address = TransportAddress(Tunnel.host, 2)
            try await socket.send(ByteBuffer(string: "x"), to: address)
            #expect(try await socket.receive().source == address)
        }
    }

    @Test func aDiallerThatGivesUpBeforeTheDecisionLeavesNothing() async throws {
        let policy = HesitantPolicy()
        try await Tunnel.with(policy: policy) { tunnel in
            let address = TransportAddress(Tunnel.host, 9)
            let dial = Task { try await tunnel.entrance.stack.connect(to: address) }
            while await policy.count == 0 { await Task.yield() }
            #expect(await tunnel.exit.exitStatistics?.dialsInFlight == 1)
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
            await policy.decide(.refuse)
            while await tunnel.exit.exitStatistics?.dialsInFlight != 0 { await Task.yield() }
        }
    }

    @Test func aDecisionAboutAFlowThatHasIdledAwayChangesNothing() async throws {
        let policy = HesitantPolicy()
        var limits = ExitLimits()
        limits.udpIdleTimeout = .milliseconds(10)
        try await Tunnel.with(policy: policy, exitLimits: limits) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            try await socket.send(ByteBuffer(string: "x"), to: TransportAddress(Tunnel.host, 9))
            while await policy.count == 0 { await Task.yield() }
            while await tunnel.exit.exitStatistics?.udpFlows != 0 { await Task.yield() }
            await policy.decide(.allow)
            // The next dial is decided on after that one.
            try await socket.send(ByteBuffer(string: "x"), to: TransportAddress(Tunnel.host, 9))
            while await policy.count == 0 { await Task.yield() }
            await policy.decide(.drop)
        }
    }

    @Test func aRouteThatGoesWhileAPolicyDecidesProhibits() async throws {
        let policy = HesitantPolicy()
        try await Tunnel.with(policy: policy) { tunnel in
            let address = TransportAddress(Tunnel.host, 9)
            let dial = Task { try await tunnel.entrance.stack.connect(to: address) }
            while await policy.count == 0 { await Task.yield() }
            tunnel.exit.removeRoutes([CIDRBlock(Tunnel.host)])
            await #expect(throws: NetstackError.prohibited(address)) { try await dial.value }
            await policy.decide(.allow)
        }
    }
}
