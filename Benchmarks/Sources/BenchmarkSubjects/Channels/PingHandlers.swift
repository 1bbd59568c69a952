// One byte there and back over a channel, one at a time.

import BenchmarkReport
import NIOCore

final class PingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let end: Int
    private var times: [Int] = []
    private var sent = 0
    private let done: EventLoopPromise<[Int]>

    /// - Parameters:
    ///   - end: when to stop, by `Nanoseconds.now`.
    ///   - done: succeeds with how long each message took, in nanoseconds.
    init(until end: Int, _ done: EventLoopPromise<[Int]>) {
        self.end = end
        self.done = done
    }

    /// A stream that has been negotiated is active by now.
    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { ping(context) }
    }

    func channelActive(context: ChannelHandlerContext) { ping(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = Nanoseconds.now
        times.append(now - sent)
        if now < end { ping(context) } else { done.succeed(times) }
    }

    func channelInactive(context: ChannelHandlerContext) { done.fail(Fault("the server has closed the connection")) }

    private func ping(_ context: ChannelHandlerContext) {
        sent = Nanoseconds.now
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: ".")), promise: nil)
    }
}

final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
}
