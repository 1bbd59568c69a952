// The datagrams between a source on the link and one destination.

import Glibc
import NIOCore
import Netstack

final class DatagramFlow: UnansweredFlow {
    /// What may wait for a policy's decision, and the bytes of that.
    private static let waitingLimit = 64
    private static let waitingByteLimit = 1 << 16

    let dial: ExitDial
    private unowned let mapping: DatagramMapping
    private let forwarder: DatagramForwarder
    private var target: TransportAddress
    private var socket: HostSocket?
    private var waiting: [ExitDatagram] = []
    /// What an error that comes back is about.
    private var lastSent: ExitDatagram?
    private var isAnswered = false
    private var isClosed = false

    init(_ dial: ExitDial, _ mapping: DatagramMapping, _ forwarder: DatagramForwarder) {
        self.dial = dial
        self.mapping = mapping
        self.forwarder = forwarder
        target = dial.target
    }

    func decide() {
        forwarder.exit.decide(on: dial) { [self] decision in
            guard !isClosed else { return }
            switch decision {
            case .allow: open()
            case .redirect(let target):
                self.target = target
                open()
            case .prohibit:
                forwarder.exit.prohibit(dial)
                fail(.administrativelyProhibited)
            case .refuse: fail(.portUnreachable)
            case .drop: close()
            }
        }
    }

    private func open() {
        do {
            socket = try mapping.socket(towards: target, for: self)
        } catch {
            // EACCES: the kernel gives no echo sockets to this process.
            guard let error = (error as? IOError).flatMap({ ICMPError(errno: $0.errnoCode) }) else {
                forwarder.exit.counters.datagramsDropped += waiting.count
                return close()
            }
            return fail(error)
        }
        forwarder.exit[keyPath: forwarder.quota].append(self, now: forwarder.exit.stack.eventLoop.now)
        let datagrams = waiting
        waiting = []
        for datagram in datagrams { send(datagram) }
    }

    func send(_ datagram: ExitDatagram) {
        mapping.touch()
        guard let socket else {
            let byteCount = waiting.reduce(datagram.payload.readableBytes) { $0 + $1.payload.readableBytes }
            if waiting.count < Self.waitingLimit, byteCount <= Self.waitingByteLimit {
                waiting.append(datagram)
            } else {
                forwarder.exit.counters.datagramsDropped += 1
            }
            return
        }
        lastSent = datagram
        var code = transmit(datagram, socket)
        if code == 0 { return }
        mapping.takeErrors(of: socket)
        // Too long: the queue had the path MTU. Else it was an error of an earlier datagram, which has cost this its turn.
        if code == EMSGSIZE || isClosed { return }
        code = transmit(datagram, socket)
        if code == 0 { return }
        if let error = ICMPError(errno: code) {
            forwarder.reject(datagram, error)
        } else {
            forwarder.exit.counters.datagramsDropped += 1
        }
    }

    private func transmit(_ datagram: ExitDatagram, _ socket: HostSocket) -> CInt {
        var payload = datagram.payload
        if forwarder.kind == .echo {
            payload.setInteger(ICMPEcho.requestType(target.address.version), at: payload.readerIndex)
        }
        return socket.send(
            payload, to: target, hopLimit: datagram.hopLimit, dontFragment: datagram.dontFragment)
    }

    /// Passes on an error that has come back.
    func failed(_ returned: HostSocket.ReturnedError) {
        guard var datagram = lastSent else { return }
        if forwarder.kind == .echo, let echo = ICMPEcho(message: returned.quote) {
            datagram.payload.setInteger(echo.sequenceNumber, at: datagram.payload.readerIndex + 6)
        }
        var error = returned.error
        let version = dial.destination.address.version
        if version != target.address.version, case .other = error { error = .hostUnreachable }
        forwarder.reject(datagram, error, from: reporter(returned.reporter))
    }

    /// What the dialler sees as the sender of an error: the destination itself, a router on the way, or this exit.
    private func reporter(_ reporter: IPAddress?) -> IPAddress? {
        guard let reporter else { return nil }
        if reporter == target.address { return dial.destination.address }
        let isUsable = reporter.version == dial.destination.address.version && reporter.whyNotUnicast == nil
        return isUsable ? reporter : nil
    }

    func answered() { isAnswered = true }

    var isUnanswered: Bool { !isAnswered && !isClosed }

    // MARK: The end

    func giveWay() {
        forwarder.exit.counters.flowsDisplaced += 1
        close()
    }

    func unroute() { fail(.administrativelyProhibited) }

    /// Ends before, or after, it has begun: who waits for an answer gets this one.
    private func fail(_ error: ICMPError) {
        for datagram in waiting { forwarder.reject(datagram, error) }
        waiting = []
        close()
    }

    private func close() { mapping.close(self) }

    /// Called once, when its mapping lets go of it and may be gone soon: a policy's decision may still come.
    func closed() {
        isClosed = true
        socket = nil
        waiting = []
    }
}
