// The ping protocol: 32 bytes there and back.

import NIOConcurrencyHelpers
package import NIOCore

/// Answers pings: sends back what comes, and reads no more while the peer does not take its answers.
package final class PingResponder: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    static let protocolID = "/ipfs/ping/1.0.0"

    /// Whether a read waits for the channel to be writable.
    private var holdsRead = false

    package init() {}

    package func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { holdsRead = true }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if holdsRead, context.channel.isWritable {
            holdsRead = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.write(wrapOutboundOut(unwrapInboundIn(data)), promise: nil)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            let channel = context.channel
            // Behind all answers.
            context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in channel.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }
}

extension LibP2PHost {
    /// Sends 32 random bytes to a peer and waits for them to come back.
    ///
    /// - Returns: how long that took, on a connection and a stream that were there already.
    /// - Throws: as `openStream`; `LibP2PError.message` if other bytes come back, `.timedOut`.
    public func ping(_ address: Multiaddr) async throws -> Duration {
        try await ask(address, PingResponder.protocolID) { stream in
            let sent = ByteBuffer(bytes: (0..<32).map { _ in UInt8.random(in: 0...255) })
            let start = ContinuousClock.now
            try await stream.write(sent)
            var received = ByteBuffer()
            while received.readableBytes < sent.readableBytes, let bytes = try await stream.read() {
                received.writeImmutableBuffer(bytes)
            }
            let time = ContinuousClock.now - start
            guard received == sent else { throw LibP2PError.message(what: "ping", fault: "other bytes came back") }
            return time
        }
    }

    /// Runs `body` with a new stream, for as long as a handshake may take.
    func ask<Answer: Sendable>(
        _ address: Multiaddr, _ protocolID: String, _ body: (LibP2PStream) async throws -> Answer
    ) async throws -> Answer {
        let stream = try await openStream(to: address, protocols: [protocolID])
        let isOver = NIOLockedValueBox(false)
        let timer = eventLoop.scheduleTask(in: core.limits.handshakeTime) {
            isOver.withLockedValue { $0 = true }
            stream.reset()
        }
        defer { timer.cancel() }
        do {
            let answer = try await body(stream)
            await stream.close()
            return answer
        } catch {
            stream.reset()
            throw isOver.withLockedValue { $0 } ? LibP2PError.timedOut(what: "an answer to \(protocolID)") : error
        }
    }
}
