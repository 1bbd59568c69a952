// A socket of this host that stands for a source on the link, and the flows that go through it.

import Glibc
import Logging
import NIOCore
import Netstack

/// What RFC 4787 calls a mapping: by default for one pair of source and destination, else for all destinations of a source.
final class DatagramMapping {
    let key: DatagramForwarder.Key
    private let forwarder: DatagramForwarder
    private let idleTimeout: TimeAmount
    private var sockets: [IPVersion: HostSocket] = [:]
    private var flows: [TransportAddress: DatagramFlow] = [:]
    /// What stands behind the addresses that datagrams come from.
    private var flowsByTarget: [TransportAddress: DatagramFlow] = [:]
    /// The same by address alone, for replies from other ports: RFC 4787 section 5, address-dependent filtering.
    private var flowsByAddress: [IPAddress: DatagramFlow] = [:]
    private var lastUse: NIODeadline
    private var isClosed = false

    private var eventLoop: any EventLoop { forwarder.exit.stack.eventLoop }

    init(_ forwarder: DatagramForwarder, _ key: DatagramForwarder.Key, idleTimeout: TimeAmount) {
        self.forwarder = forwarder
        self.key = key
        self.idleTimeout = idleTimeout
        lastUse = forwarder.exit.stack.eventLoop.now
        watchIdleness()
    }

    func flow(to destination: TransportAddress) -> DatagramFlow? { flows[destination] }

    /// Begins a flow with its first datagram.
    func open(_ dial: ExitDial, _ first: ExitDatagram) {
        let flow = DatagramFlow(dial, self, forwarder)
        flows[dial.destination] = flow
        forwarder.exit.opened(flow)
        flow.send(first)
        flow.decide()
    }

    /// A socket towards `target`; connected, if the mapping is for that alone, so that nobody else gets through.
    ///
    /// - Throws: `IOError`.
    func socket(towards target: TransportAddress, for flow: DatagramFlow) throws -> HostSocket {
        let version = target.address.version
        let socket = try sockets[version] ?? HostSocket(forwarder.kind, version)
        if key.destination != nil {
            let code = socket.connect(to: target)
            if code != 0 { throw IOError(errnoCode: code, reason: "connect") }
        }
        flowsByTarget[target] = flow
        flowsByAddress[target.address] = flow
        if sockets[version] == nil {
            sockets[version] = socket
            let reach = NIOLoopBound(self, eventLoop: eventLoop)
            socket.watch(on: eventLoop) { reach.value.ready() }
        }
        return socket
    }

    func touch() { lastUse = eventLoop.now }

    // MARK: What comes back

    private func ready() {
        forwarder.exit.stack.together {
            for socket in sockets.values {
                takeErrors(of: socket)
                var budget = 64
                while budget > 0, let (payload, source) = socket.receive() {
                    budget -= 1
                    deliver(payload, from: source)
                }
                if budget == 0 {
                    let reach = NIOLoopBound(self, eventLoop: eventLoop)
                    eventLoop.execute { reach.value.ready() }
                }
            }
        }
    }

    private func deliver(_ payload: ByteBuffer, from source: TransportAddress) {
        let exact = flowsByTarget[source]
        guard let flow = exact ?? flowsByAddress[source.address] else {
            return forwarder.exit.counters.datagramsDropped += 1
        }
        touch()
        flow.answered()
        let destination = flow.dial.destination
        let seen = exact == nil ? TransportAddress(destination.address, source.port) : destination
        forwarder.reply(payload, from: seen, to: key.source)
    }

    func takeErrors(of socket: HostSocket) {
        while let error = socket.takeError() {
            let flow = error.destination.flatMap { flowsByTarget[$0] } ?? flows.values.first
            flow?.failed(error)
        }
    }

    // MARK: The end

    func close(_ flow: DatagramFlow) {
        guard flows.removeValue(forKey: flow.dial.destination) != nil else { return }
        flowsByTarget = flowsByTarget.filter { $0.value !== flow }
        flowsByAddress = Dictionary(
            flowsByTarget.map { ($0.key.address, $0.value) }, uniquingKeysWith: { first, _ in first })
        end(flow)
        if flows.isEmpty { close() }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        for flow in flows.values { end(flow) }
        flows = [:]
        flowsByTarget = [:]
        sockets = [:]
        forwarder.closed(self)
    }

    private func end(_ flow: DatagramFlow) {
        flow.closed()
        forwarder.closed(flow)
    }

    private func watchIdleness() {
        let due = lastUse + idleTimeout
        eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            guard let self, !isClosed else { return }
            if eventLoop.now >= lastUse + idleTimeout { close() } else { watchIdleness() }
        }
    }
}
