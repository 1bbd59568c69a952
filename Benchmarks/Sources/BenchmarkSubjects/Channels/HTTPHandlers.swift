// HTTP/1.1 over a channel, with NIO's codecs: one request after the other.

import NIOCore
import NIOHTTP1

/// Answers each request alike.
final class HTTPServerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let head = HTTPResponseHead(
        version: .http1_1, status: .ok,
        headers: ["Content-Type": "text/plain", "Content-Length": "\(HTTPBytes.body.readableBytes)"])

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        context.write(wrapOutboundOut(.head(Self.head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(HTTPBytes.body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}

/// Makes the next request when the last one has been answered, and counts those. Closes when another body comes back.
final class HTTPClientHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private static let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["Host": "server"])

    private let counter: Counter
    private var body = ByteBuffer()

    init(_ counter: Counter) { self.counter = counter }

    func channelActive(context: ChannelHandlerContext) { send(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: body.clear()
        case .body(var bytes): body.writeBuffer(&bytes)
        case .end:
            guard body == HTTPBytes.body else { return context.close(promise: nil) }
            counter.add(1)
            send(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func send(_ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(.head(Self.head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
