// A connection attempt that waits for a decision: the SYN is held, and nothing has been answered yet.

package import NIOCore

/// Someone on the link dials an address that this stack has no listener for.
///
/// Exactly one of `accept`, `refuse`, `reject` and `drop` decides; further calls do nothing. The peer sends its SYN again
/// while it waits, and the handshake goes on only after `accept`: so a dialler learns the truth about the destination.
package final class TCPForwardRequest {
    package let source: TransportAddress
    package let destination: TransportAddress
    package let nic: NetworkInterface
    /// The header of the segment: what a SYN carries is sent again.
    package let segment: ByteBuffer
    /// As much of the packet as an ICMP error would quote.
    private let packet: ByteBuffer
    package let header: IPHeader
    package let tcp: TCPHeader
    /// When an attempt that nobody has decided on is given up: its dialler has long stopped waiting.
    let expiry: NIODeadline
    private let stack: StackCore
    package var eventLoop: any EventLoop { stack.eventLoop }
    /// SND.NXT of a connection in TIME-WAIT that has made way, where the TCP knows it: the successor's begin above (RFC 9293
    /// section 3.6.1).
    package var predecessorEnd: UInt32?
    private var decided = false
    /// Called when the link or the stack goes before there was a decision.
    package var abandoned: (() -> Void)?

    init(
        header: IPHeader, tcp: TCPHeader, segment: RawSpan, packet: RawSpan, on nic: NetworkInterface, stack: StackCore
    ) {
        self.header = header
        self.tcp = tcp
        self.segment = ByteBuffer(copying: segment.extracting(0..<tcp.dataOffset))
        self.packet = ByteBuffer(
            copying: packet.extracting(0..<min(header.totalLength, ICMPMessage.maximumErrorLength)))
        self.nic = nic
        self.stack = stack
        expiry = stack.eventLoop.now + .seconds(120)
        source = TransportAddress(header.source, tcp.sourcePort)
        destination = TransportAddress(header.destination, tcp.destinationPort)
    }

    package var id: TCPControlBlock.ID { .init(nic: nic.id, local: destination, remote: source) }
    package var sequenceNumber: UInt32 { tcp.sequenceNumber }

    /// Goes on with the handshake. `opened` hears when it is complete, or why it never was.
    ///
    /// - Returns: nil, without a call to `opened`, when it was too late: the link or the stack has gone.
    @discardableResult
    package func accept(_ opened: @escaping (Result<TCPControlBlock, NetstackError>) -> Void) -> TCPControlBlock? {
        guard decide(), !stack.isShutDown, nic.linkError == nil, let block = stack.accept(self) else { return nil }
        block.opened = { [unowned block] in opened($0.map { block }) }
        return block
    }

    /// Answers with a reset: nothing listens there.
    package func refuse() {
        guard decide() else { return }
        stack.turn {
            nic.send { try? tcp.writeReset(answering: header, to: &$0) }
        }
    }

    /// Answers with an ICMP error.
    package func reject(_ error: ICMPError) {
        guard decide() else { return }
        let packet = packet
        stack.turn { stack.answer(error, to: header, packet.readableBytesSpan, on: nic) }
    }

    /// Answers nothing: the dialler's own time-out will tell it.
    package func drop() { _ = decide() }

    /// The link or the stack goes.
    func abandon() {
        let abandoned = abandoned
        if decide() { abandoned?() }
    }

    private func decide() -> Bool {
        guard !decided else { return false }
        decided = true
        abandoned = nil
        stack.release(self)
        return true
    }
}
