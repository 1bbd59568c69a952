// What a stack asks of the TCP beneath it. The rest of a stack, and all that stands on it, is the same whichever that is.

package import NIOCore

/// A TCP for stacks to stand on.
public struct TCPImplementation: Sendable {
    let makeEngine: @Sendable (any EventLoop, Stack.Limits) throws(NetstackError) -> any TCPEngine

    package init(
        makeEngine: @escaping @Sendable (any EventLoop, Stack.Limits) throws(NetstackError) -> any TCPEngine
    ) {
        self.makeEngine = makeEngine
    }
}

/// The TCP of one stack, on the stack's event loop.
///
/// It tells connections what happens to them by the methods of ``TCPControlBlock``, which only take note. All but `settle` is
/// called between `enter` and `leave`, and so is what a ``TCPTransport`` does: by a turn of its stack.
package protocol TCPEngine: AnyObject {
    // MARK: Turns

    /// A call of the TCP begins. Never nested.
    func enter()
    /// It is over, and what came of it will be told.
    func leave()
    /// All has been told, and what was done in reply has been done: what can wait no longer, like acknowledgments that might
    /// have gone with data, is sent now. In turns of its own.
    func settle()

    // MARK: NICs

    func add(_ nic: NetworkInterface)
    /// The NIC goes. Its connections have ended; those in TIME-WAIT are to be forgotten.
    func remove(_ nic: NetworkInterface)

    // MARK: Connections

    /// Begins to connect, with a four-tuple that is free.
    func connect(_ id: TCPControlBlock.ID, on nic: NetworkInterface) throws(NetstackError) -> TCPControlBlock
    /// Answers a SYN that has been decided on, whose four-tuple is free; nil if no connection comes of it.
    func accept(_ syn: TCPForwardRequest) -> TCPControlBlock?
    /// Takes in segments with good checksums, each at its place in `batch`. Those of no connection may be of one in
    /// TIME-WAIT, or are answered with a reset.
    func receive(
        _ run: TCPSegmentRun, of batch: ByteBuffer, for block: TCPControlBlock?, on nic: NetworkInterface)

    // MARK: TIME-WAIT

    func isInTimeWait(_ id: TCPControlBlock.ID) -> Bool
    /// Forgets a connection in TIME-WAIT for the sake of a SYN, if that can't be the connection's own (RFC 9293 section
    /// 3.10.7.4).
    func yieldTimeWait(to syn: TCPForwardRequest) -> Bool

    // MARK: Time

    /// When `timersDue` is to be called: `.distantFuture` while nothing is waited for, and `.distantPast` when it had more to
    /// do than the event loop should wait for.
    var nextDeadline: NIODeadline { get }
    func timersDue(now: NIODeadline)
}

/// What a TCP does for one of its connections. The control block holds it. After the connection has ended, it is only asked what
/// it is, and read from: what has been received stays until then.
package protocol TCPTransport: AnyObject {
    /// Whether there are bytes to read.
    var hasBytes: Bool { get }
    /// Whether the peer has closed its direction. What it sent before may still be unread.
    var peerFinished: Bool { get }
    /// Takes some of what has arrived, up to `limit` bytes, and opens the window by as much.
    func read(upTo limit: Int) -> ByteBuffer?
    /// Takes as much as there is room for off the front of `bytes`.
    ///
    /// - Parameter more: whether another write follows at once.
    func write(_ bytes: inout ByteBuffer, more: Bool) throws(NetstackError)

    /// Half-closes, after all that has been written.
    func closeWrite()
    /// Closes both directions; what was written is still delivered. Nothing more is told.
    func close()
    /// Ends at once. Nothing more is told.
    func abort(tellPeer: Bool)

    /// The link takes more: what has been refused goes out (see `NetworkInterface.enqueue`).
    func linkDrained()
    /// Packets longer than `mtu` don't get through.
    func pathTakes(_ mtu: Int)
    /// Whether `sequence` is among what has been sent and not acknowledged.
    func hasInFlight(_ sequence: UInt32) -> Bool

    /// As the control block's; set only while there is a connection.
    var keepsAlive: Bool { get set }
    var sendsAtOnce: Bool { get set }
}
