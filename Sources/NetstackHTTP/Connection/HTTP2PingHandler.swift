// The part of a pipeline of HTTP/2 that finds out that the server has gone.

package import NIOCore
package import NIOHTTP2

/// Pings a server that has been silent while streams are open (RFC 9113 section 6.7), and ends the connection if that
/// brings no sign of life.
///
/// A server may vanish without a word: its host loses its power, a link its far end. Requests would wait for as long as
/// each may, and further ones go the same way.
package final class HTTP2PingHandler: ChannelInboundHandler {
    package typealias InboundIn = HTTP2Frame
    package typealias OutboundOut = HTTP2Frame

    /// How long the server may be silent before it is pinged.
    package static let silence = TimeAmount.seconds(15)
    /// How long it may be silent after that.
    package static let patience = TimeAmount.seconds(15)

    /// Whether the server is to say something: streams are open.
    package var isAwaiting = false {
        didSet { if isAwaiting, timer == nil { watch(until: lastRead + Self.silence) } }
    }
    private var context: ChannelHandlerContext?
    private var lastRead = NIODeadline.uptimeNanoseconds(0)
    /// Whether there has been a ping, and nothing from the server since.
    private var hasPinged = false
    private var timer: Scheduled<Void>?

    package init() {}

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastRead = context.eventLoop.now
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        lastRead = context.eventLoop.now
        hasPinged = false
        context.fireChannelReadComplete()
    }

    private func watch(until deadline: NIODeadline) {
        timer = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            timer = nil
            guard let context else { return }
            if hasPinged {
                let silence = HTTPClientError.timedOut(.idle)
                context.fireErrorCaught(HTTPClientError.connectionClosed(underlying: silence))
            } else if isAwaiting {
                let now = context.eventLoop.now
                guard lastRead + Self.silence <= now else { return watch(until: lastRead + Self.silence) }
                hasPinged = true
                let ping = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(), ack: false))
                context.writeAndFlush(wrapOutboundOut(ping), promise: nil)
                watch(until: now + Self.patience)
            }
        }
    }
}
