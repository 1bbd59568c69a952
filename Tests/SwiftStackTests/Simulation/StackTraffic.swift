// Two whole stacks over an impaired link in virtual time, each with a listener, and an acceptor for every address.

import NIOCore
import NetstackCore
import SwiftStack

final class StackTraffic {
    let loop: VirtualLoop
    let stacks: [Stack]
    let wires: [SimulatedWire]
    /// Those that have begun and not been settled.
    private(set) var conversations: [SimulatedConversation] = []
    /// The latest from each source.
    private var bySource: [TransportAddress: SimulatedConversation] = [:]
    private var listeners: [TCPListenerCore] = []
    private(set) var opened = 0
    /// How many had the four-tuple of one before, and for how many that was still in TIME-WAIT here.
    private(set) var successors = 0
    private(set) var tooEarly = 0
    private(set) var complete = 0
    private(set) var problems: [String] = []
    private(set) var hasOutage = false
    private var nextPort: UInt16 = 10_000
    private var random: SeededGenerator
    /// What there is for each connection that has not been freed.
    private var living: [Living] = []

    private struct Living {
        weak var block: TCPControlBlock?
        weak var transport: (any TCPTransport)?
    }

    init(
        _ settings: [SwiftTCPSettings], limits: Stack.Limits = Stack.Limits(), _ conditions: SimulatedLink.Conditions,
        seed: UInt64, on loop: VirtualLoop
    ) throws {
        self.loop = loop
        random = SeededGenerator(state: seed)
        wires = [0, 1].map { SimulatedWire(conditions, seed: seed &* 2 &+ $0, on: loop) }
        stacks = try settings.map { try Stack(.swift($0), limits: limits, on: loop) }
        wires[0].peer = wires[1]
        wires[1].peer = wires[0]
        for (index, stack) in stacks.enumerated() {
            try stack.assumeIsolated { [wires] stack in
                try stack.createNIC(
                    1, link: wires[index], addresses: [Self.address(index, .v4), Self.address(index, .v6)], mtu: 1500,
                    promiscuous: true, spoofing: true)
                try stack.addRoute(to: .everyIPv4, via: 1)
                try stack.addRoute(to: .everyIPv6, via: 1)
            }
            let listener = try stack.core.listen(port: 80, at: nil, backlog: 256)
            listener.changed = { [unowned self, unowned listener] in
                while let block = listener.take() { accepted(block) }
            }
            listeners.append(listener)
            try stack.core.nic(1).tcpHandler = { [unowned self] in decide($0) }
        }
    }

    private static func address(_ stack: Int, _ version: IPVersion) -> IPAddress {
        version == .v4
            ? .v4(IPv4Address(10, 0, 0, UInt8(stack + 1)))
            : .v6(IPv6Address(rawValue: 0xfd << 120 | UInt128(stack + 1)))
    }

    var packets: Int { wires.reduce(0) { $0 + $1.link.packets } }

    /// The path changes: what was sent last may be overtaken by what is sent now.
    func meet(_ conditions: SimulatedLink.Conditions, corruption: Double) {
        for wire in wires {
            wire.link.conditions = conditions
            wire.corruption = corruption
        }
        hasOutage = conditions.loss == 1
        if hasOutage { for conversation in conversations where !conversation.isOver { conversation.hadOutage = true } }
    }

    // MARK: Dialling

    func open(
        _ plans: (active: SimulatedEndpoint.Plan, passive: SimulatedEndpoint.Plan), readPause: TimeAmount = .zero
    ) {
        let predecessor = random.happens(0.3) ? conversations.last { isLatest($0) && $0.isOver } : nil
        if let predecessor, dial(predecessor.path, plans, readPause) { return successors += 1 }
        if predecessor != nil { tooEarly += 1 }
        if !dial(newPath(), plans, readPause) { problems.append("no connection from a port that is free") }
    }

    /// Whether no other has had its four-tuple since.
    private func isLatest(_ conversation: SimulatedConversation) -> Bool {
        bySource[conversation.path.source] === conversation
    }

    /// Returns whether the four-tuple was free.
    private func dial(
        _ path: SimulatedConversation.Path,
        _ plans: (active: SimulatedEndpoint.Plan, passive: SimulatedEndpoint.Plan), _ readPause: TimeAmount
    ) -> Bool {
        let conversation = SimulatedConversation(
            path,
            dialler: SimulatedUser(connection: opened, side: 0, plan: plans.active, readPause: .zero, on: loop),
            answerer: SimulatedUser(connection: opened, side: 1, plan: plans.passive, readPause: readPause, on: loop),
            hadOutage: hasOutage)
        let sendsAtOnce = random.happens(0.8)
        do {
            let block = try stacks[path.dialler].core.connect(to: path.destination, from: path.source) { result in
                switch result {
                case .success(let block): conversation.dialler.opened(block)
                case .failure(let error): conversation.dialler.notOpened(error)
                }
            }
            block.sendsAtOnce = sendsAtOnce
            watch(block)
        } catch {
            return false
        }
        opened += 1
        conversations.append(conversation)
        bySource[path.source] = conversation
        return true
    }

    func openToListener(
        _ plans: (active: SimulatedEndpoint.Plan, passive: SimulatedEndpoint.Plan), from dialler: Int = 0
    ) {
        if !dial(pathToListener(from: dialler, .v4), plans, .zero) {
            problems.append("no connection from a port that is free")
        }
    }

    private func pathToListener(from dialler: Int, _ version: IPVersion) -> SimulatedConversation.Path {
        nextPort = nextPort == 50_000 ? 10_000 : nextPort + 1
        return .init(
            dialler: dialler, source: TransportAddress(Self.address(dialler, version), nextPort),
            destination: TransportAddress(Self.address(1 - dialler, version), 80), answer: .listens)
    }

    private func newPath() -> SimulatedConversation.Path {
        let version = random.happens(0.5) ? IPVersion.v4 : .v6
        var path = pathToListener(from: .random(in: 0...1, using: &random), version)
        path.answer = makeAnswer()
        guard path.answer != .listens else { return path }
        let host = UInt8.random(in: 1...200, using: &random)
        let address: IPAddress =
            version == .v4 ? .v4(IPv4Address(192, 0, 2, host)) : .v6(IPv6Address(rawValue: 0xfc << 120 | UInt128(host)))
        // Port 80 is the listener's, whatever the address.
        path.destination = TransportAddress(address, .random(in: 81...9_999, using: &random))
        return path
    }

    private func makeAnswer() -> SimulatedConversation.Answer {
        switch Int.random(in: 0..<20, using: &random) {
        case 0: .refuses
        case 1: .rejects
        case 2: .drops
        case 3..<7: .accepts(after: .zero)
        case 7..<11: .accepts(after: .milliseconds(.random(in: 1...5_000, using: &random)))
        default: .listens
        }
    }

    // MARK: Accepting

    private func decide(_ request: TCPForwardRequest) {
        switch bySource[request.source]?.path.answer {
        case .listens, .refuses, nil: request.refuse()
        case .rejects: request.reject(.administrativelyProhibited)
        case .drops: request.drop()
        case .accepts(let delay):
            guard delay > .zero else { return accept(request) }
            loop.schedule(at: loop.now + delay) { [unowned self] in accept(request) }
        }
    }

    private func accept(_ request: TCPForwardRequest) {
        let block = request.accept { [unowned self] in if case .success(let block) = $0 { accepted(block) } }
        if let block { watch(block) }
    }

    private func accepted(_ block: TCPControlBlock) {
        watch(block)
        guard let conversation = bySource[block.remote], conversation.path.destination == block.local,
            !conversation.answerer.wasOpened
        else {
            problems.append("a connection from \(block.remote) that nobody has opened")
            return block.reset()
        }
        conversation.answerer.opened(block)
    }

    private func watch(_ block: TCPControlBlock) { living.append(Living(block: block, transport: block.transport)) }

    // MARK: Settling

    /// Ends what would stay.
    func giveUp() {
        for conversation in conversations where !conversation.giveUp() {
            problems.append("connection \(conversation.dialler.connection), \(conversation.path): never over")
        }
    }

    /// Everything is over: it must have gone as it had to.
    func closeAccounts() {
        problems += conversations.flatMap(\.problems)
        complete += conversations.count { $0.isComplete }
        conversations = []
        bySource = [:]
        living.removeAll { $0.block == nil && $0.transport == nil }
        if !living.isEmpty { problems.append("\(living.count) connections were not freed") }
    }

    var census: [StackCensus] { stacks.map { StackCensus($0.core) } }

    func shutDown() {
        for stack in stacks { stack.assumeIsolated { $0.shutdown() } }
        // What flies still lands.
        loop.run(until: loop.now + .minutes(1))
    }
}
