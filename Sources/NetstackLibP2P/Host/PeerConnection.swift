// A connection with a peer: from a bare channel to a secure one with streams.

import Logging
import NIOCore

/// An encrypted connection with a peer that is known, and the streams on it.
final class PeerConnection {
    enum Role {
        /// `expecting` is who has to answer, or nil for whoever does.
        case dialler(expecting: PeerID?)
        case listener

        var isDialler: Bool { if case .dialler = self { true } else { false } }
    }

    static let noise = "/noise"
    static let yamux = "/yamux/1.0.0"

    let channel: any Channel
    let peer: PeerID
    /// Where it was, if it was dialled.
    var dialled: Multiaddr?
    private let yamux: YamuxHandler
    private let host: HostCore

    private init(_ channel: any Channel, _ peer: PeerID, _ yamux: YamuxHandler, _ host: HostCore) {
        self.channel = channel
        self.peer = peer
        self.yamux = yamux
        self.host = host
    }

    var isUsable: Bool { channel.isActive && yamux.acceptsStreams }

    var streamCount: Int { yamux.streamCount }

    func close() {
        yamux.goAway()
        channel.close(promise: nil)
    }

    // MARK: The handshake

    /// Agrees on Noise, does its handshake, agrees on Yamux. A failed future leaves the channel to be closed.
    static func upgrade(
        _ channel: any Channel, _ role: Role, of host: HostCore
    ) -> EventLoopFuture<NIOLoopBound<PeerConnection>> {
        let eventLoop = channel.eventLoop
        let result = eventLoop.makePromise(of: NIOLoopBound<PeerConnection>.self)
        let limit = host.limits.handshakeTime
        let timer = eventLoop.scheduleTask(in: limit) { result.fail(LibP2PError.timedOut(what: "the handshake")) }
        result.futureResult.whenComplete { _ in timer.cancel() }

        func negotiate(_ name: String, then next: @escaping () throws -> Void) throws {
            let negotiation: MultistreamNegotiation.Role =
                role.isDialler ? .dialler([name]) : .listener(accepts: { $0 == name }, all: { [name] })
            let handler = MultistreamHandler(
                negotiation, messageLimit: host.limits.negotiationMessageBytes,
                agreed: { _, _ in try next() },
                failed: { result.fail($0) })
            try channel.pipeline.syncOperations.addHandler(handler)
        }

        func multiplex(with peer: PeerID) throws {
            let handler = YamuxHandler(
                role.isDialler ? .client : .server, limits: YamuxLimits(host.limits), on: eventLoop,
                refused: { host.counters.streamsRefused += $0 },
                accept: { host.accept($0, of: peer) })
            try channel.pipeline.syncOperations.addHandler(handler)
            let connection = PeerConnection(channel, peer, handler, host)
            result.succeed(NIOLoopBound(connection, eventLoop: eventLoop))
        }

        func secure() throws {
            let peer = eventLoop.makePromise(of: PeerID.self)
            let handler = NoiseHandler(
                role.isDialler ? .initiator : .responder, identity: host.identity, authenticated: peer
            ) { peer throws(LibP2PError) in
                switch role {
                case .dialler(let expected?) where expected != peer: throw .wrongPeer(expected: expected, found: peer)
                case .listener where !host.allowedPeers.contains(peer): throw .notAllowed(peer)
                case .dialler, .listener: break
                }
            }
            try channel.pipeline.syncOperations.addHandler(handler)
            peer.futureResult.assumeIsolated().whenComplete { outcome in
                do {
                    let peer = try outcome.get()
                    try negotiate(Self.yamux) { try multiplex(with: peer) }
                } catch {
                    result.fail(error)
                }
            }
        }

        do {
            try negotiate(Self.noise, then: secure)
        } catch {
            result.fail(error)
        }
        return result.futureResult
    }

    // MARK: Streams

    func openStream<Output: Sendable>(
        _ protocols: [String], _ setUp: @escaping HostCore.OutboundSetUp<Output>
    ) -> EventLoopFuture<Output> {
        let (host, peer) = (host, peer)
        let result = channel.eventLoop.makePromise(of: Output.self)
        let opened = yamux.openStream { stream in
            stream.eventLoop.makeCompletedFuture {
                let handler = MultistreamHandler(
                    .dialler(protocols), messageLimit: host.limits.negotiationMessageBytes,
                    agreed: { stream, name in
                        let output = try setUp(stream, peer, name)
                        host.counters.streams += 1
                        result.succeed(output)
                    },
                    failed: { error in
                        host.countTooLong(error)
                        result.fail(error)
                    })
                try stream.pipeline.syncOperations.addHandler(handler)
                let timer = stream.eventLoop.scheduleTask(in: host.limits.handshakeTime) {
                    result.fail(LibP2PError.timedOut(what: "the negotiation of \(protocols.joined(separator: ", "))"))
                    stream.close(promise: nil)
                }
                result.futureResult.whenComplete { _ in timer.cancel() }
            }
        }
        opened.whenFailure { result.fail($0) }
        return result.futureResult
    }
}

extension HostCore {
    /// Negotiates the protocol of a stream that a peer opens.
    func accept(_ stream: any Channel, of peer: PeerID) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture { [self] in
            guard allowedPeers.contains(peer) else {
                counters.peersRefused += 1
                throw LibP2PError.notAllowed(peer)
            }
            let timer = stream.eventLoop.scheduleTask(in: limits.handshakeTime) { stream.close(promise: nil) }
            let handler = MultistreamHandler(
                .listener(accepts: { self.serves($0) }, all: { self.protocols }),
                messageLimit: limits.negotiationMessageBytes,
                agreed: { [self] stream, name in
                    timer.cancel()
                    try serve(name, on: stream, of: peer)
                    counters.streams += 1
                },
                failed: { [self] error in
                    timer.cancel()
                    counters.streamsFailed += 1
                    countTooLong(error)
                    logger.debug("stream failed", metadata: ["peer": "\(peer)", "error": "\(error)"])
                })
            try stream.pipeline.syncOperations.addHandler(handler)
        }
    }
}

extension YamuxLimits {
    init(_ limits: LibP2PHost.Limits) {
        self.init()
        inboundStreams = limits.streamsPerConnection
        // No window is larger than its field in a frame, nor are all of them together than makes sense.
        streamWindowBytes = min(max(limits.streamWindowBytes, YamuxStream.initialWindow), Int(UInt32.max))
        connectionWindowBytes = min(max(limits.connectionWindowBytes, 0), 1 << 48)
    }
}
