// A TCP connection as the event loop sees it: whose it is, and what is to be told. What it does is its transport's.

package import NIOCore

/// Hears of a connection's events, on the event loop, after TCP has been left: it may call back freely.
package protocol TCPControlBlockDelegate: AnyObject {
    /// There is something to read: bytes, or the end.
    func controlBlockCanRead(_ block: TCPControlBlock)
    /// A write that found no room would find some now.
    func controlBlockCanWrite(_ block: TCPControlBlock)
    /// The connection is gone. Nothing else follows.
    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError)
}

/// The transmission control block of RFC 9293: one connection, opening, open or closing.
///
/// The stack holds it for as long as TCP has anything of it.
package final class TCPControlBlock {
    package struct ID: Hashable {
        package var nic: NICID
        package var local: TransportAddress
        package var remote: TransportAddress

        package init(nic: NICID, local: TransportAddress, remote: TransportAddress) {
            self.nic = nic
            self.local = local
            self.remote = remote
        }
    }

    private struct Events: OptionSet {
        let rawValue: UInt8
        static let opened = Events(rawValue: 1)
        static let canRead = Events(rawValue: 2)
        static let canWrite = Events(rawValue: 4)
        static let failed = Events(rawValue: 8)
    }

    package let id: ID
    /// Whether the peer dialled.
    package let isPassive: Bool
    /// Whether TCP has nothing left of it, but perhaps in TIME-WAIT.
    package private(set) var isGone = false
    /// Whether its user is done with it: TCP sees it through by itself.
    package private(set) var isReleased = false
    /// Whether it waits for the link to take more, or for others to have their turn.
    var isRefused = false
    /// Bytes written in its turn at the link.
    package var turnByteCount = 0
    /// Whether the handshake is complete.
    package private(set) var isEstablished = false
    /// Whether this side's direction has been closed.
    package private(set) var writeClosed = false
    /// Whether the last write found too little room.
    package private(set) var waitsForRoom = false
    private var events: Events = []
    private unowned let nic: NetworkInterface
    package let stack: StackCore
    package let transport: any TCPTransport
    /// Told once, when the handshake is complete or has failed.
    var opened: ((Result<Void, NetstackError>) -> Void)?
    package private(set) var failure: NetstackError?

    /// Events that came before there was a delegate are told now.
    package weak var delegate: (any TCPControlBlockDelegate)? {
        didSet { if !events.isEmpty { stack.touch(self) } }
    }

    package init(_ id: ID, on nic: NetworkInterface, isPassive: Bool, transport: any TCPTransport) {
        self.id = id
        self.nic = nic
        self.isPassive = isPassive
        stack = nic.stack
        self.transport = transport
    }

    // MARK: Called by the transport

    /// The handshake is complete.
    package func becameEstablished() {
        if isHalfOpen { stack.halfOpen.remove(remote.address) }
        isEstablished = true
        note(.opened)
    }

    /// There is something to read: bytes, or the end.
    package func becameReadable() { note(.canRead) }

    /// A write that found too little room would find a good deal now.
    package func gainedRoom() {
        guard waitsForRoom else { return }
        if nic.admits(writesOf: self) { note(.canWrite) }
    }

    /// The connection has failed: what its user hears, unless it has ended it itself.
    package func failed(_ error: NetstackError) {
        guard failure == nil else { return }
        failure = error
        note(.failed)
    }

    /// It is left to TCP, with both directions closed: the stack bounds how many of these there are. Its transport tells
    /// nothing of it any more, but that it has ended.
    package func release() {
        guard !isReleased else { return }
        isReleased = true
        stack.released(self)
    }

    /// TCP has nothing left of it, but perhaps in TIME-WAIT.
    package func ended() {
        isGone = true
        stack.forget(self)
    }

    // MARK: State

    package var local: TransportAddress { id.local }
    package var remote: TransportAddress { id.remote }
    /// The connection as a value that may leave the event loop.
    package var bound: NIOLoopBound<TCPControlBlock> { NIOLoopBound(self, eventLoop: stack.eventLoop) }
    /// Whether the handshake is under way: ours, or one the peer has begun.
    package var isOpening: Bool { !isGone && !isEstablished && !isReleased }
    /// Whether the peer has begun the handshake and not finished it.
    var isHalfOpen: Bool { !isEstablished && isPassive }

    /// Whether `sequence` is among what has been sent and not acknowledged.
    func hasInFlight(_ sequence: UInt32) -> Bool { !isGone && transport.hasInFlight(sequence) }

    /// Packets longer than this have been found not to get through.
    func pathTakes(_ mtu: Int) { if !isGone { transport.pathTakes(mtu) } }

    /// The link takes more of what it has been refused.
    func linkDrained() {
        isRefused = false
        if !isGone { transport.linkDrained() }
    }

    // MARK: Options

    /// Whether a peer that falls silent is asked whether it is still there (RFC 9293 section 3.8.4).
    package var keepsAlive: Bool {
        get { transport.keepsAlive }
        set { if !isGone { transport.keepsAlive = newValue } }
    }

    /// Whether small segments are sent at once, without Nagle's algorithm (RFC 9293 section 3.7.4).
    package var sendsAtOnce: Bool {
        get { transport.sendsAtOnce }
        set { if !isGone { transport.sendsAtOnce = newValue } }
    }

    // MARK: Reading

    /// Whether the peer has closed its direction. What it sent before may still be unread.
    package var peerFinished: Bool { transport.peerFinished }
    /// Whether everything the peer sent has been read, and its end seen.
    package var isFinished: Bool { transport.peerFinished && !transport.hasBytes }
    /// Whether a read would not have to wait: for bytes, or the end.
    package var canRead: Bool { transport.hasBytes || transport.peerFinished }

    /// Takes some of what has arrived, up to `limit` bytes, and opens the window by as much.
    package func read(upTo limit: Int = .max) -> ByteBuffer? { limit > 0 ? transport.read(upTo: limit) : nil }

    // MARK: Writing

    /// Queues as much as there is room for; the rest stays in `bytes`, and the delegate hears when there is more room.
    ///
    /// - Parameter more: whether another write follows at once, so that the two may share a packet.
    package func write(_ bytes: inout ByteBuffer, more: Bool = false) throws(NetstackError) {
        if let failure { throw failure }
        guard !isGone, !isReleased, !writeClosed else { throw .closed }
        defer { waitsForRoom = bytes.readableBytes > 0 }
        try transport.write(&bytes, more: more)
    }

    /// Half-closes: the peer reads the end after everything written so far. Reading goes on.
    package func closeWrite() {
        guard !isGone, !isReleased, !writeClosed else { return }
        writeClosed = true
        transport.closeWrite()
    }

    // MARK: Ending

    /// Closes both directions. What has been written is still delivered; what has not been read is lost.
    package func close() {
        guard !isGone, !isReleased else { return }
        release()
        transport.close()
        failed(.closed)
    }

    /// Ends the connection at once, and tells the peer by a reset.
    package func reset() {
        if !isReleased { end(.closed, tellPeer: true) }
    }

    /// Lets go of a connection that its user has: one closed in both directions is left to deliver what was written.
    func abandon() {
        if writeClosed, peerFinished { close() } else { reset() }
    }

    func end(_ error: NetstackError, tellPeer: Bool) {
        if !isGone {
            release()
            transport.abort(tellPeer: tellPeer)
        }
        failed(error)
    }

    // MARK: Telling

    private func note(_ event: Events) {
        if events.isEmpty { stack.touch(self) }
        events.insert(event)
    }

    /// Tells what has happened since the last time. Called outside of TCP.
    func deliver() {
        if events.contains(.opened), let opened {
            self.opened = nil
            opened(.success(()))
        }
        if events.contains(.failed), let opened, let failure {
            self.opened = nil
            opened(.failure(failure))
        }
        events.remove(.opened)
        guard let delegate else { return }
        let events = events
        self.events = []
        if events.contains(.canRead) { delegate.controlBlockCanRead(self) }
        if events.contains(.canWrite), waitsForRoom { delegate.controlBlockCanWrite(self) }
        if events.contains(.failed), let failure { delegate.controlBlockFailed(self, failure) }
    }
}
