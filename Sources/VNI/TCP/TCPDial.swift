// A connection attempt on its way: from the policy over the host's socket to a splice, or to an answer.

import Glibc
import Logging
import NIOCore
import NIOPosix
import Netstack

final class TCPDial: UnansweredFlow {
    /// Silence for this long is a time-out. Diallers give up earlier.
    private static let timeout = TimeAmount.seconds(60)

    let dial: ExitDial
    private let request: TCPForwardRequest
    private let exit: ExitCore
    private var channel: (any Channel)?
    private var isOver = false

    init(_ dial: ExitDial, _ request: TCPForwardRequest, _ exit: ExitCore) {
        self.dial = dial
        self.request = request
        self.exit = exit
    }

    func start() {
        exit.opened(self)
        // The link or the stack goes, or a policy takes too long.
        request.abandoned = { [self] in
            channel?.close(promise: nil)
            fail()
        }
        exit.decide(on: dial) { [self] decision in
            guard !isOver else { return }
            switch decision {
            case .allow: connect(to: dial.target)
            case .redirect(let target): connect(to: target)
            case .prohibit:
                exit.prohibit(dial)
                request.reject(.administrativelyProhibited)
                fail()
            case .refuse:
                request.refuse()
                fail()
            case .drop:
                request.drop()
                fail()
            }
        }
    }

    func unroute() {
        request.reject(.administrativelyProhibited)
        channel?.close(promise: nil)
        fail()
    }

    var isUnanswered: Bool { !isOver }

    func giveWay() {
        exit.counters.dialsDropped += 1
        request.drop()
        channel?.close(promise: nil)
        fail()
    }

    // MARK: The socket

    private func connect(to target: TransportAddress) {
        guard let address = try? target.socketAddress() else {
            request.reject(.hostUnreachable)
            return fail()
        }
        exit.counters.dials += 1
        exit.dials.append(self, now: exit.stack.eventLoop.now)
        let eventLoop = exit.stack.eventLoop
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(Self.timeout)
            .channelInitializer { channel in
                reach.value.channel = channel
                return channel.eventLoop.makeCompletedFuture { try Self.setOptions(of: channel) }
            }
            .connect(to: address)
            .assumeIsolated()
            .whenComplete { [self] result in
                switch result {
                case .success(let channel):
                    if isOver { channel.close(promise: nil) } else { join(channel) }
                case .failure(let error):
                    if !isOver { answer(error) }
                }
            }
    }

    /// TCP_NODELAY is NIO's own doing.
    private static func setOptions(of channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.autoRead, value: false)
        try options.setOption(.writeBufferWaterMark, value: .init(low: 1 << 17, high: 1 << 19))
        try options.setOption(
            .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 1 << 14, maximum: 1 << 18))
    }

    private func join(_ channel: any Channel) {
        let splice = TCPSplice(dial) { [exit, source = dial.source.address] splice in
            exit.connections.remove(source)
            exit.closed(splice)
        }
        do {
            try channel.pipeline.syncOperations.addHandler(splice)
        } catch {
            // The socket has closed again already.
            request.refuse()
            return fail()
        }
        exit.counters.connected += 1
        exit.opened(splice)
        end()
        let block = request.accept { [exit, dial] result in
            switch result {
            case .success(let block):
                exit.logger.debug("connected", metadata: ["dial": "\(dial)"])
                splice.join(block)
            case .failure(let error):
                exit.logger.debug("abandoned by the dialler", metadata: ["dial": "\(dial)", "error": "\(error)"])
                splice.abandon()
            }
        }
        if block == nil { splice.abandon() }
    }

    /// Tells the dialler what dialling told us.
    private func answer(_ error: any Error) {
        exit.logger.info("failed", metadata: ["dial": "\(dial)", "error": "\(error)"])
        let code = (error as? IOError)?.errnoCode ?? 0
        if code == ECONNREFUSED {
            exit.counters.refused += 1
            request.refuse()
        } else if let error = ICMPError(errno: code) {
            exit.counters.unreachable += 1
            request.reject(error)
        } else {
            // A time-out, or a lack of descriptors or memory here: the dialler tries again until its own time-out.
            exit.counters.unanswered += 1
            request.drop()
        }
        fail()
    }

    // MARK: The end

    private func fail() {
        guard !isOver else { return }
        exit.connections.remove(dial.source.address)
        end()
    }

    private func end() {
        isOver = true
        exit.dials.remove(dial.source.address)
        exit.closed(self)
    }
}

extension ICMPError {
    /// What the host's kernel has made of an ICMP error, or of having no way itself (ip(7), icmp_err_convert in Linux).
    init?(errno: CInt) {
        switch errno {
        case ENETUNREACH, ENETDOWN: self = .networkUnreachable
        case EHOSTUNREACH, EHOSTDOWN, EADDRNOTAVAIL: self = .hostUnreachable
        case ENOPROTOOPT, EPROTO: self = .protocolUnreachable
        case EACCES, EPERM: self = .administrativelyProhibited
        default: return nil
        }
    }
}
