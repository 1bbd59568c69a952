// Joins a connection of the stack to a socket of this host, so that each end sees what the other does.

import DequeModule
import Glibc
import NIOCore
import Netstack

/// A TCP connection in two halves. Bytes, half-closes, closes and resets cross in both directions; a slow half slows the
/// other, for nothing is read from one that the other does not take.
///
/// It stands in the socket's pipeline, on the event loop of the stack.
final class TCPSplice: ChannelInboundHandler, TCPControlBlockDelegate, ExitFlow {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let dial: ExitDial
    private let ended: (TCPSplice) -> Void
    private var context: ChannelHandlerContext?
    private var block: TCPControlBlock?
    /// What the socket has given and the stack has no room for.
    private var towardsStack: Deque<ByteBuffer> = []
    /// Whether the socket's peer has closed its direction.
    private var socketFinished = false
    /// Whether the stack's peer has closed its direction, and whether the socket has all that came before.
    private var stackFinished = false
    private var isFlushed = false
    private var reading = false
    /// Set while the socket has gone and the stack has not taken all that it gave: nothing else holds this object then.
    private var lingering: TCPSplice?

    /// - Parameter ended: called once, when the socket has gone.
    init(_ dial: ExitDial, ended: @escaping (TCPSplice) -> Void) {
        self.dial = dial
        self.ended = ended
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// Begins, with the handshake on the stack's side complete.
    func join(_ block: TCPControlBlock) {
        guard let context else { return block.reset() }
        self.block = block
        block.delegate = self
        // The socket may have ended by now, and NIO have read all of it.
        writeToStack()
        if context.channel.isWritable { writeToSocket(block) }
    }

    /// Gives up before it has begun.
    func abandon() { abortSocket() }

    func unroute() {
        block?.reset()
        abortSocket()
    }

    // MARK: Socket to stack

    private func read() {
        guard block != nil, !reading, !socketFinished, towardsStack.isEmpty else { return }
        reading = true
        context?.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A few at a time, and all there is when the socket ends.
        towardsStack.append(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        reading = false
        writeToStack()
    }

    private func writeToStack() {
        guard let block else { return }
        while var bytes = towardsStack.popFirst() {
            do {
                // Whatever comes of it comes later, when what is left of `bytes` is first in line again.
                try block.stack.withoutNews { () throws(NetstackError) in
                    try block.write(&bytes, more: !towardsStack.isEmpty)
                }
            } catch {
                return abortSocket()
            }
            if bytes.readableBytes > 0 {
                towardsStack.prepend(bytes)
                break
            }
        }
        if towardsStack.isEmpty, socketFinished {
            lingering = nil
            block.closeWrite()
            closeIfFinished()
        }
        read()
    }

    func controlBlockCanWrite(_ block: TCPControlBlock) { writeToStack() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            socketFinished = true
            writeToStack()
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// An error of a socket is the end of the connection for both: most often a reset.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        block?.reset()
        block = nil
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // With the output closed, NIO closes the channel at the input's end instead of telling of it.
        if isFlushed, !socketFinished {
            socketFinished = true
            writeToStack()
        }
        if !socketFinished || !stackFinished {
            block?.reset()
        } else if !towardsStack.isEmpty {
            lingering = self
        }
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        ended(self)
    }

    // MARK: Stack to socket

    func controlBlockCanRead(_ block: TCPControlBlock) {
        if let context, context.channel.isWritable { writeToSocket(block) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let block { writeToSocket(block) }
        context.fireChannelWritabilityChanged()
    }

    private func writeToSocket(_ block: TCPControlBlock) {
        guard let context, !stackFinished else { return }
        var hasWritten = false
        while context.channel.isWritable, let bytes = block.read() {
            context.write(wrapOutboundOut(bytes), promise: nil)
            hasWritten = true
        }
        if hasWritten { context.flush() }
        // The flush may have led here again.
        guard !stackFinished, block.isFinished else { return }
        stackFinished = true
        // An empty write is done after all others. Closing earlier would lose them.
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated().whenComplete { [self] result in
            guard case .success = result else { return block.reset() }
            isFlushed = true
            if !socketFinished { self.context?.close(mode: .output, promise: nil) }
            closeIfFinished()
        }
    }

    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) {
        lingering = nil
        abortSocket()
    }

    // MARK: The end

    private func closeIfFinished() {
        guard socketFinished, isFlushed, towardsStack.isEmpty else { return }
        context?.close(promise: nil)
    }

    /// Closes the socket so that its peer sees a reset.
    private func abortSocket() {
        guard let context else { return }
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
    }
}
