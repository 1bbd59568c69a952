// Between NIO's HTTP/1.1 and the server: clients of HTTP/1.0, and what is no HTTP.

import NIOCore
import NIOHTTP1

/// Sees one request at a time: further ones wait in NIO's pipelining handler.
final class HTTP1ServerHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Answer {
        case due
        case begun
        /// Whole, while more of the request may come.
        case sent
        /// Given here: the server's own comes too late.
        case refused
    }

    private var answer = Answer.due
    private var isInRequest = false
    private var isHTTP10 = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(var head):
            isInRequest = true
            isHTTP10 = head.version.major == 1 && head.version.minor == 0
            // It may not know of chunks, and knows by the end of the connection where an answer ends (RFC 9112 section 6.1).
            if isHTTP10 { head.headers.replaceOrAdd(name: "Connection", value: "close") }
            context.fireChannelRead(wrapInboundOut(.head(head)))
        case .end:
            isInRequest = false
            if case .sent = answer { answer = .due }
            context.fireChannelRead(data)
        case .body:
            context.fireChannelRead(data)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .refused = answer {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head) where !(100..<200).contains(head.status.code):
            answer = .begun
            if isHTTP10 { head.version = .http1_0 }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            answer = isInRequest ? .sent : .due
            context.write(data, promise: promise)
        case .head, .body:
            context.write(data, promise: promise)
        }
    }

    /// Nothing that follows a fault in the framing can be told from another request (RFC 9112 section 11.2).
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError, case .due = answer {
            let headers: HTTPHeaders = ["Connection": "close", "Content-Length": "0"]
            let head = HTTPResponseHead(version: .http1_1, status: .badRequest, headers: headers)
            answer = .refused
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.fireErrorCaught(error)
    }
}
