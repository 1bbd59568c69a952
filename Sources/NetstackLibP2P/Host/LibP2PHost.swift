// The host for users: an actor on a NIO event loop.

public import NIOCore
public import Netstack

/// A peer among peers: it has an identity, connects to others and listens for them, and opens streams in both directions.
///
/// ```swift
/// let host = LibP2PHost(identity: try .loadOrCreate(at: "host.key"))
/// let link = try await host.openLink(to: Multiaddr("/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…"))
/// ```
/// Connections are encrypted and authenticated (Noise), and carry any number of streams (Yamux). There is at most one
/// dial to an address under way, and streams to a peer share a connection. Dropping the last reference to a host ends
/// all of them, links included.
public actor LibP2PHost {
    /// The host's name: others dial it, and put it on their allow lists.
    public nonisolated let peerID: PeerID
    /// Where everything of the host runs. Links are fastest on the loop of their stacks.
    public nonisolated let eventLoop: any EventLoop
    private nonisolated let executor: any SerialExecutor
    private nonisolated let box: NIOLoopBoundBox<HostCore>

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    nonisolated var core: HostCore { box.value }

    /// Makes a host that does not listen yet.
    ///
    /// - Parameters:
    ///   - identity: who it is; a new one that is nowhere stored if none is given.
    ///   - configuration: who gets in, and how much anybody may take.
    ///   - eventLoop: where everything of it runs.
    public init(
        identity: Identity = Identity(), configuration: Configuration = Configuration(),
        on eventLoop: any EventLoop = Stack.defaultEventLoop
    ) {
        peerID = identity.peerID
        self.eventLoop = eventLoop
        executor = eventLoop.executor
        box = .makeBoxSendingValue(HostCore(identity, configuration, eventLoop), eventLoop: eventLoop)
    }

    deinit {
        let box = box
        eventLoop.execute { box.value.shutDown() }
    }

    // MARK: Who gets in

    /// The peers that may connect and open streams.
    public var allowedPeers: Set<PeerID> { core.allowedPeers }

    /// Puts a peer on the allow list.
    public func allow(_ peer: PeerID) { core.allowedPeers.insert(peer) }

    /// Takes a peer off the allow list, and ends its connections.
    public func disallow(_ peer: PeerID) { core.allowedPeers.remove(peer) }

    // MARK: Connections

    /// Listens at an address such as `/ip4/0.0.0.0/tcp/4001`; port 0 means any that is free.
    ///
    /// - Returns: that address with the port and the host's own id. Of one such as `/ip4/0.0.0.0`, ``listenAddresses`` tells
    ///   what others can dial.
    /// - Throws: `LibP2PError.malformed` if it isn't one to listen at, `.closed`, and what SwiftNIO throws when it can't.
    @discardableResult
    public func listen(on address: Multiaddr) async throws -> Multiaddr {
        try await core.listen(on: address).get()
    }

    /// Where others can dial the host, with its own id. One that listens at `0.0.0.0` or `::` has the machine's addresses of
    /// that version, as they are when this is asked; link-local ones are left out.
    public var listenAddresses: [Multiaddr] { core.listenAddresses.map { $0.appending(peerID) } }

    /// Makes sure that there is a connection. `openStream` does so by itself.
    ///
    /// - Parameter address: where the peer is. With `/p2p/…` at its end, nobody else may answer.
    /// - Returns: who answered.
    /// - Throws: `LibP2PError.unreachable`, `.wrongPeer`, `.noise`, `.negotiation`, `.unsupportedProtocol`, `.timedOut`,
    ///   `.limitReached`, `.closed`; `CancellationError`.
    @discardableResult
    public func connect(to address: Multiaddr) async throws -> PeerID {
        try await outcome(of: core.connection(to: address)) { _ in }.value.peer
    }

    /// The peers that there are connections with.
    public var connectedPeers: Set<PeerID> { core.connectedPeers }

    /// Ends the connections with a peer, and all their streams.
    public func disconnect(_ peer: PeerID) { core.disconnect(peer) }

    /// Ends everything. Peers are told.
    public func shutdown() async { try? await core.shutDown().get() }

    /// What has happened so far.
    public var counters: Counters { core.counters }

    /// Streams that are open, in both directions.
    public var streamCount: Int { core.streamCount }

    // MARK: Streams

    /// Opens a stream, over the connection with the peer or a new one.
    ///
    /// - Parameters:
    ///   - address: where the peer is; only `/p2p/…` if there is a connection already.
    ///   - protocols: what to speak on it, best first: the peer takes the first that it knows.
    /// - Throws: as `connect`, and `LibP2PError.goAway`, `.streamReset`.
    public func openStream(to address: Multiaddr, protocols: [String]) async throws -> LibP2PStream {
        try await openStream(to: address, protocols: protocols) { try LibP2PStream($0, $1, $2) }
    }

    /// The same for NIO handlers: `setUp` adds them to the stream's channel, on its event loop, before the first byte.
    public func openStream<Output: Sendable>(
        to address: Multiaddr, protocols: [String],
        setUp: @escaping @Sendable (_ channel: any Channel, _ peer: PeerID, _ protocolID: String) throws -> Output
    ) async throws -> Output {
        let opened = NIOLoopBoundBox.makeEmptyBox(valueType: (any Channel).self, eventLoop: eventLoop)
        let stream = core.openStream(to: address, protocols) { channel, peer, name in
            opened.value = channel
            return try setUp(channel, peer, name)
        }
        return try await outcome(of: stream) { _ in opened.value?.close(promise: nil) }
    }

    /// Waits for `future`, or for the task to be cancelled; what comes of it after that is for `discard`.
    private func outcome<Value: Sendable>(
        of future: EventLoopFuture<Value>, discard: @escaping @Sendable (Value) -> Void
    ) async throws -> Value {
        let promise = eventLoop.makePromise(of: Value.self)
        future.cascade(to: promise)
        do {
            return try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                promise.fail(CancellationError())
            }
        } catch is CancellationError {
            future.whenSuccess(discard)
            throw CancellationError()
        }
    }

    /// Serves a protocol: `body` is called with each stream that a peer on the allow list opens for it, and the stream
    /// ends when `body` returns.
    public func handle(
        _ protocolID: String, _ body: @escaping @Sendable (LibP2PStream) async throws -> Void
    ) {
        handle(protocolID) { channel, peer in
            let stream = try LibP2PStream(channel, peer, protocolID)
            Task {
                // What ended the stream has been told to `body`, unless it had returned.
                try? await body(stream)
                await stream.close()
            }
        }
    }

    /// The same for NIO handlers: `setUp` adds them to the stream's channel, on its event loop, before the first byte.
    public func handle(
        _ protocolID: String, setUp: @escaping @Sendable (_ channel: any Channel, _ peer: PeerID) throws -> Void
    ) {
        core.handlers[protocolID] = setUp
    }

    /// Serves a protocol no longer. Its open streams go on.
    public func removeHandler(_ protocolID: String) { core.handlers[protocolID] = nil }
}
