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
    package typealias InboundOut = HTTP2Frame
    package typealias OutboundOut = HTTP2Frame

    /// How long the server may be silent before it is pinged, at first.
    package static let silence = TimeAmount.seconds(15)
    /// How long it may be where pings have brought nothing but their answers. Servers of gRPC bear two pings that come less
    /// than five minutes after the one before, and end the connection over a third (ENHANCE_YOUR_CALM), unless they have
    /// sent something of a stream meanwhile.
    package static let longestSilence = TimeAmount.minutes(6)
    /// How many times as long each such ping makes the next silence: two of them are shorter than those five minutes.
    package static let growth = 4
    /// How long it may be silent after a ping.
    package static let patience = TimeAmount.seconds(15)

    /// How many streams are open: while there are any, the server is to say something.
    package var streamCount = 0 {
        didSet { if streamCount > oldValue { startOver() } }
    }
    private var context: ChannelHandlerContext?
    private var silence = HTTP2PingHandler.silence
    /// When the server was last heard, or has taken something.
    private var lastSign = NIODeadline.uptimeNanoseconds(0)
    /// Whether there has been a ping, and no sign of life since.
    private var hasPinged = false
    /// Whether what is being read has frames of the connection. Those of streams do not come by.
    private var concernsConnection = false
    private var timer: Scheduled<Void>?

    package init() {}

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lastSign = context.eventLoop.now
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
    }

    // MARK: Signs of life

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        concernsConnection = true
        if case .ping(_, ack: true) = unwrapInboundIn(data).payload {
            silence = min(silence * Self.growth, Self.longestSilence)
        }
        context.fireChannelRead(data)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        noteSign(context)
        if !concernsConnection { startOver() }
        concernsConnection = false
        context.fireChannelReadComplete()
    }

    /// A ping waits behind what has been written before it, and that may take a slow link longer than any patience.
    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { noteSign(context) }
        context.fireChannelWritabilityChanged()
    }

    private func noteSign(_ context: ChannelHandlerContext) {
        lastSign = context.eventLoop.now
        hasPinged = false
    }

    // MARK: Silence

    /// The next silence is as short as the first.
    private func startOver() {
        guard streamCount > 0, timer == nil || silence > Self.silence else { return }
        silence = Self.silence
        // The timer is the ping's, or the server has been given up.
        guard !hasPinged else { return }
        timer?.cancel()
        watch(until: lastSign + silence)
    }

    private func watch(until deadline: NIODeadline) {
        timer = context?.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            timer = nil
            guard let context else { return }
            if hasPinged {
                let silence = HTTPClientError.timedOut(.idle)
                context.fireErrorCaught(HTTPClientError.connectionClosed(underlying: silence))
            } else if streamCount > 0 {
                let now = context.eventLoop.now
                guard lastSign + silence <= now else { return watch(until: lastSign + silence) }
                hasPinged = true
                let ping = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(), ack: false))
                context.writeAndFlush(wrapOutboundOut(ping), promise: nil)
                watch(until: now + Self.patience)
            }
        }
    }
}
