// The end of a pipeline while TLS is being established: it decides which HTTP is spoken.

import NIOCore
import NIOTLS

/// What a connection has turned out to be.
enum HTTPTransport: Sendable {
    case http1(HTTPConnection)
    case http2(HTTP2Connection)

    var channel: any Channel {
        switch self {
        case .http1(let connection): connection.channel
        case .http2(let session): session.channel
        }
    }

    /// Closes it, now.
    func close(_ error: any Error) {
        switch self {
        case .http1(let connection): connection.close(error)
        case .http2(let session): session.close(error)
        }
    }
}

/// Waits for the handshake, has the pipeline completed for the protocol that it has agreed on (RFC 7301), and leaves it.
///
/// The channel has `autoRead` off.
final class HTTPHandshakeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let complete: (_ applicationProtocol: String?) throws -> HTTPTransport
    private var promise: EventLoopPromise<HTTPTransport>?

    /// - Parameter promise: gets what `complete` makes, or the error.
    init(_ promise: EventLoopPromise<HTTPTransport>, _ complete: @escaping (String?) throws -> HTTPTransport) {
        self.promise = promise
        self.complete = complete
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else {
            return finish(.failure(HTTPClientError.connectionClosed(underlying: nil)))
        }
        context.read()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.read()
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let applicationProtocol)? = event as? TLSUserEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        // What follows the handshake in the same read is for the handlers added here.
        let result = Result { try complete(applicationProtocol) }
        finish(result)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
        if case .failure = result { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.failure(HTTPClientError(ofChannel: error)))
        context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(.failure(HTTPClientError.connectionClosed(underlying: nil)))
    }

    private func finish(_ result: Result<HTTPTransport, any Error>) {
        promise?.completeWith(result)
        promise = nil
    }
}
