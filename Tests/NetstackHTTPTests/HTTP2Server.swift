// A server of HTTP/2 on loopback, and what its paths do.

import NIOConcurrencyHelpers
import NIOCore
import NIOHPACK
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL
import TestSupport

/// Answers by path: `/hold` never, `/hold-once` only on the second connection, `/reset/N` by an error code, `/close` by
/// ending the connection, `/short` with less than it has announced, `/long` with a field of 100,000 bytes, `/early` after
/// informational answers, `/goaway` after having said that no further stream is
/// taken, `/goaway/0` by saying that none has been, `/echo` with the request's body, and everything else with the number of
/// the connection.
struct HTTP2Server: Sendable {
    let port: Int
    private let state = NIOLockedValueBox(State())

    private struct State {
        var accepted = 0
        var streams = 0
        var mostStreams = 0
        var resets = 0
    }

    /// How many connections have been accepted.
    var accepted: Int { state.withLockedValue { $0.accepted } }
    /// The most streams there have been at once.
    var mostStreams: Int { state.withLockedValue { $0.mostStreams } }
    /// How many streams have ended before their answer.
    var resets: Int { state.withLockedValue { $0.resets } }
    /// Happens when a request that is not answered has arrived.
    let holding = Event()
    let reset = Event()
    /// Happens when a connection has closed.
    let closed = Event()

    func url(_ path: String = "/") -> String { "https://localhost:\(port)\(path)" }

    static func run(
        _ identity: TLSIdentity, maximumStreams: Int = 100, _ test: (HTTP2Server) async throws -> Void
    ) async throws {
        let context = try identity.serverContext(protocols: ["h2"])
        // Its port is known only once it listens.
        let box = NIOLockedValueBox<HTTP2Server?>(nil)
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let server = box.withLockedValue({ $0 }) else {
                        throw ChannelError.inappropriateOperationForState
                    }
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try server.accept(channel, maximumStreams)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = HTTP2Server(port: listener.localAddress?.port ?? 0)
        box.withLockedValue { $0 = server }
        let result: Result<Void, any Error>
        do {
            result = .success(try await test(server))
        } catch {
            result = .failure(error)
        }
        try await listener.close()
        try result.get()
    }

    func accept(_ channel: any Channel, _ maximumStreams: Int) throws {
        let number = state.withLockedValue {
            $0.accepted += 1
            return $0.accepted
        }
        channel.closeFuture.whenComplete { _ in closed.happen() }
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        // What is wrong is the client's to find.
        connection.contentLengthValidation = .disabled
        connection.initialSettings = [HTTP2Setting(parameter: .maxConcurrentStreams, value: maximumStreams)]
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: .init()
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(HTTP2FramePayloadToHTTP1ServerCodec())
                try stream.pipeline.syncOperations.addHandler(StreamHandler(self, number))
            }
        }
    }

    private final class StreamHandler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: HTTP2Server
        private let number: Int
        private var path = ""
        private var isAnswered = false

        init(_ server: HTTP2Server, _ number: Int) {
            self.server = server
            self.number = number
        }

        func channelActive(context: ChannelHandlerContext) {
            server.state.withLockedValue {
                $0.streams += 1
                $0.mostStreams = max($0.mostStreams, $0.streams)
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            server.state.withLockedValue {
                $0.streams -= 1
                if !isAnswered { $0.resets += 1 }
            }
            if !isAnswered { server.reset.happen() }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                path = head.uri
                if path == "/echo" { begin(context) }
            case .body(let bytes):
                if path == "/echo" { context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil) }
            case .end: answer(context)
            }
        }

        private func begin(_ context: ChannelHandlerContext) {
            context.write(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http2, status: .ok, headers: [:]))), promise: nil)
        }

        private func end(_ context: ChannelHandlerContext) {
            isAnswered = true
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        /// Sends what the codec has no word for.
        private func sendPastCodec(_ frame: HTTP2Frame.FramePayload, _ context: ChannelHandlerContext) {
            let codec = try? context.pipeline.syncOperations.context(
                handlerType: HTTP2FramePayloadToHTTP1ServerCodec.self)
            codec?.writeAndFlush(NIOAny(frame), promise: nil)
        }

        private func answer(_ context: ChannelHandlerContext) {
            let connection = context.channel.parent
            switch path.split(separator: "/").first {
            case "hold": server.holding.happen()
            case "hold-once" where number == 1: server.holding.happen()
            case "short":
                let head = HTTPResponseHead(version: .http2, status: .ok, headers: ["content-length": "100"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "x")))), promise: nil)
                end(context)
            case "long":
                let head = HTTPResponseHead(
                    version: .http2, status: .ok, headers: ["x": String(repeating: "x", count: 100_000)])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                end(context)
            case "early":
                for status in [HTTPResponseStatus.continue, .custom(code: 103, reasonPhrase: "")] {
                    context.write(
                        wrapOutboundOut(.head(HTTPResponseHead(version: .http2, status: status))), promise: nil)
                }
                begin(context)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: path)))), promise: nil)
                end(context)
            case "close": connection?.close(promise: nil)
            case "echo": end(context)
            case "status":
                let status = String(path.dropFirst("/status/".count))
                let frame = HTTP2Frame.FramePayload.Headers(headers: [":status": status], endStream: true)
                sendPastCodec(.headers(frame), context)
            case "reset":
                let code = HTTP2ErrorCode(networkCode: path.split(separator: "/").last.flatMap { Int($0) } ?? 0)
                sendPastCodec(.rstStream(code), context)
            case "goaway" where number == 1:
                let last: HTTP2StreamID = path == "/goaway" ? 1 : .rootStream
                let frame = HTTP2Frame(
                    streamID: .rootStream,
                    payload: .goAway(lastStreamID: last, errorCode: .noError, opaqueData: nil))
                connection?.writeAndFlush(frame, promise: nil)
                if path == "/goaway" { fallthrough }
            default:
                begin(context)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "\(number)")))), promise: nil)
                end(context)
            }
        }
    }
}
