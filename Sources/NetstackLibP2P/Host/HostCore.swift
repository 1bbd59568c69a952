// What a host knows and does, on its event loop.

import Logging
import NIOCore
import NIOPosix
import Netstack
import NetstackLinks

final class HostCore {
    typealias InboundSetUp = @Sendable (any Channel, PeerID) throws -> Void
    typealias OutboundSetUp<Output> = @Sendable (any Channel, PeerID, String) throws -> Output

    let identity: Identity
    let eventLoop: any EventLoop
    let limits: LibP2PHost.Limits
    let agentVersion: String
    let logger: Logger
    var counters = LibP2PHost.Counters()
    var handlers: [String: InboundSetUp] = [:]
    var allowedPeers: Set<PeerID> {
        didSet { for peer in oldValue.subtracting(allowedPeers) { disconnect(peer) } }
    }

    private var listeners: [any Channel] = []
    /// Open connections, oldest first.
    private var connections: [PeerID: [PeerConnection]] = [:]
    /// Dials under way, by what was dialled.
    private var dials: [Multiaddr: EventLoopFuture<NIOLoopBound<PeerConnection>>] = [:]
    /// Channels whose handshake is under way.
    private var upgrading: [ObjectIdentifier: any Channel] = [:]
    private var acceptedHandshakes: SourceQuota
    private var acceptedConnections: SourceQuota
    /// Those accepted and those dialled.
    private var connectionCount = 0
    /// Dials that have no channel yet.
    private var dialCount = 0
    private var isShutDown = false

    init(_ identity: Identity, _ configuration: LibP2PHost.Configuration, _ eventLoop: any EventLoop) {
        self.identity = identity
        self.eventLoop = eventLoop
        limits = configuration.limits
        acceptedHandshakes = SourceQuota(limits.handshakes)
        acceptedConnections = SourceQuota(limits.connections)
        allowedPeers = configuration.allowedPeers
        agentVersion = configuration.agentVersion
        logger = configuration.logger
    }

    var connectedPeers: Set<PeerID> { Set(connections.keys) }

    var streamCount: Int { connections.values.joined().reduce(0) { $0 + $1.streamCount } }

    func disconnect(_ peer: PeerID) {
        for connection in connections[peer] ?? [] { connection.close() }
    }

    /// The future is done when all channels are closed.
    @discardableResult
    func shutDown() -> EventLoopFuture<Void> {
        isShutDown = true
        var closing = listeners.map(\.closeFuture) + upgrading.values.map(\.closeFuture)
        for listener in listeners { listener.close(promise: nil) }
        for channel in upgrading.values { channel.close(promise: nil) }
        for connection in connections.values.joined() {
            closing.append(connection.channel.closeFuture)
            connection.close()
        }
        return EventLoopFuture.andAllComplete(closing, on: eventLoop)
    }

    // MARK: Listening

    /// Where others can dial the host.
    var listenAddresses: [Multiaddr] {
        listeners.compactMap { $0.localAddress.flatMap(TransportAddress.init) }.flatMap(HostAddress.places)
    }

    func listen(on address: Multiaddr) -> EventLoopFuture<Multiaddr> {
        guard !isShutDown else { return eventLoop.makeFailedFuture(LibP2PError.closed) }
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        return HostAddress.resolve(address, within: limits.handshakeTime, on: eventLoop).flatMap { endpoints in
            ServerBootstrap(group: reach.eventLoop)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.writeBufferWaterMark, value: StreamLinkListener.waterMark)
                .childChannelOption(.recvAllocator, value: StreamLinkListener.allocator)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try reach.value.accept(channel) }
                }
                .bind(to: endpoints[0])
        }.flatMapThrowing { channel in
            guard let bound = channel.localAddress.flatMap(TransportAddress.init) else { throw LibP2PError.closed }
            let core = reach.value
            if core.isShutDown {
                channel.close(promise: nil)
                throw LibP2PError.closed
            }
            core.listeners.append(channel)
            return Multiaddr(bound).appending(core.identity.peerID)
        }
    }

    /// - Throws: what has the channel closed.
    private func accept(_ channel: any Channel) throws(LibP2PError) {
        guard !isShutDown else { throw .closed }
        guard let source = channel.remoteAddress.flatMap(HostAddress.source) else { throw .disconnected }
        guard acceptedHandshakes.hasRoom(for: source) else {
            counters.handshakesRefused += 1
            throw .limitReached(what: "handshakes", limit: limits.handshakes.total)
        }
        guard hasRoomForConnection, acceptedConnections.hasRoom(for: source) else {
            counters.connectionsRefused += 1
            throw .limitReached(what: "connections", limit: limits.connections.total)
        }
        acceptedHandshakes.add(source)
        acceptedConnections.add(source)
        upgrade(channel, .listener).assumeIsolated().whenComplete { [self] _ in acceptedHandshakes.remove(source) }
        channel.closeFuture.assumeIsolated().whenComplete { [self] _ in acceptedConnections.remove(source) }
    }

    private var hasRoomForConnection: Bool { connectionCount + dialCount < limits.connections.total }

    // MARK: Dialling

    /// A connection to whoever the address names, or to whoever is there if it names nobody.
    func connection(to address: Multiaddr) -> EventLoopFuture<NIOLoopBound<PeerConnection>> {
        guard !isShutDown else { return eventLoop.makeFailedFuture(LibP2PError.closed) }
        let open =
            address.peer.map { connections[$0] ?? [] } ?? connections.values.joined().filter { $0.dialled == address }
        if let connection = open.first(where: \.isUsable) {
            return eventLoop.makeSucceededFuture(NIOLoopBound(connection, eventLoop: eventLoop))
        }
        if let dial = dials[address] { return dial }
        guard hasRoomForConnection else {
            counters.connectionsRefused += 1
            return eventLoop.makeFailedFuture(
                LibP2PError.limitReached(what: "connections", limit: limits.connections.total))
        }
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        dialCount += 1
        let dial = HostAddress.resolve(address, within: limits.handshakeTime, on: eventLoop).flatMap { endpoints in
            reach.value.connect(to: endpoints[...])
        }.always { _ in
            reach.value.dialCount -= 1
        }.flatMapErrorThrowing { error in
            throw error is LibP2PError ? error : LibP2PError.unreachable(address, reason: "\(error)")
        }.flatMap { channel in
            reach.value.upgrade(channel, .dialler(expecting: address.peer))
        }
        dials[address] = dial
        dial.assumeIsolated().whenComplete { [self] result in
            dials[address] = nil
            if case .success(let connection) = result { connection.value.dialled = address }
        }
        return dial
    }

    /// To one after the other, until one answers.
    private func connect(to endpoints: ArraySlice<SocketAddress>) -> EventLoopFuture<any Channel> {
        guard let endpoint = endpoints.first else { return eventLoop.makeFailedFuture(LibP2PError.closed) }
        let reach = NIOLoopBound(self, eventLoop: eventLoop)
        let attempt = ClientBootstrap(group: eventLoop)
            .connectTimeout(limits.handshakeTime)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: StreamLinkListener.waterMark)
            .channelOption(.recvAllocator, value: StreamLinkListener.allocator)
            .connect(to: endpoint)
        let others = endpoints.dropFirst()
        return others.isEmpty ? attempt : attempt.flatMapError { _ in reach.value.connect(to: others) }
    }

    // MARK: Connections

    /// Makes a connection of a channel, or closes it.
    private func upgrade(
        _ channel: any Channel, _ role: PeerConnection.Role
    ) -> EventLoopFuture<NIOLoopBound<PeerConnection>> {
        guard !isShutDown else {
            channel.close(promise: nil)
            return eventLoop.makeFailedFuture(LibP2PError.closed)
        }
        connectionCount += 1
        upgrading[ObjectIdentifier(channel)] = channel
        let result = PeerConnection.upgrade(channel, role, of: self)
        result.assumeIsolated().whenComplete { [self] result in
            upgrading[ObjectIdentifier(channel)] = nil
            switch result {
            case .success(let connection): opened(connection.value, role)
            case .failure(let error): failed(channel, error)
            }
        }
        channel.closeFuture.assumeIsolated().whenComplete { [self] _ in connectionCount -= 1 }
        return result
    }

    private func opened(_ connection: PeerConnection, _ role: PeerConnection.Role) {
        let peer = connection.peer
        // It may have been taken off the list since it said who it is.
        guard role.isDialler || allowedPeers.contains(peer) else {
            counters.peersRefused += 1
            return connection.close()
        }
        counters.connections += 1
        connections[peer, default: []].append(connection)
        logger.debug("connected", metadata: ["peer": "\(peer)"])
        connection.channel.closeFuture.assumeIsolated().whenComplete { [self] _ in
            connections[peer]?.removeAll { $0 === connection }
            if connections[peer]?.isEmpty == true { connections[peer] = nil }
            logger.debug("disconnected", metadata: ["peer": "\(peer)"])
        }
    }

    private func failed(_ channel: any Channel, _ error: any Error) {
        switch error as? LibP2PError {
        case .timedOut: counters.handshakesTimedOut += 1
        case .notAllowed: counters.peersRefused += 1
        default: counters.handshakesFailed += 1
        }
        countTooLong(error)
        let address = channel.remoteAddress.map { "\($0)" } ?? ""
        logger.info("handshake failed", metadata: ["address": "\(address)", "error": "\(error)"])
        channel.close(promise: nil)
    }

    /// Counts what a negotiation failed with, if that was the length of a message.
    func countTooLong(_ error: any Error) {
        if case .limitReached(what: "negotiationMessageBytes", _)? = error as? LibP2PError {
            counters.messagesTooLong += 1
        }
    }

    // MARK: Streams

    func openStream<Output: Sendable>(
        to address: Multiaddr, _ protocols: [String], _ setUp: @escaping OutboundSetUp<Output>
    ) -> EventLoopFuture<Output> {
        connection(to: address).flatMap { $0.value.openStream(protocols, setUp) }
    }

    /// What peers can speak with the host: what it serves, and what every host does.
    var protocols: [String] { Set(handlers.keys).union(Self.basics.keys).sorted() }

    private static let basics: [String: @Sendable (HostCore, any Channel) throws -> Void] = [
        PingResponder.protocolID: { try $1.pipeline.syncOperations.addHandler(PingResponder()) },
        identifyProtocol: { try $0.serveIdentify(on: $1) },
    ]

    func serves(_ protocolID: String) -> Bool { handlers[protocolID] != nil || Self.basics[protocolID] != nil }

    /// Sets up a stream of a peer, whose protocol has been agreed on.
    func serve(_ protocolID: String, on channel: any Channel, of peer: PeerID) throws {
        if let setUp = handlers[protocolID] { return try setUp(channel, peer) }
        // A peer may have nothing more to say before it has heard the answer.
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        try Self.basics[protocolID]?(self, channel)
    }
}
