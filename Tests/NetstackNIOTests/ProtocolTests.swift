// NIO's protocols over stacks: each is a client at one end and a server at the other, over links of both kinds.

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOSSL
import NIOTLS
import NIOWebSocket
import Netstack
import NetstackNIO
import TestSupport
import Testing

/// A link, and which end of it dials.
struct Route: Sendable, CustomTestStringConvertible {
    let link: LinkKind
    let dialsBack: Bool

    static let all = [LinkKind.memory, .tcp].flatMap {
        [Route(link: $0, dialsBack: false), .init(link: $0, dialsBack: true)]
    }

    var testDescription: String { "\(link.rawValue), \(dialsBack ? "far to near" : "near to far")" }

    /// Serves with `serve` at one end and connects with `dial` from the other, then runs `body`.
    func run<Output: Sendable>(
        serve: @escaping Initializer<Void>, dial: @escaping Initializer<Output>,
        _ body: @Sendable (Output) async throws -> Void
    ) async throws {
        let pair = try await StackPair(link: link)
        let (client, server) = dialsBack ? (pair.far, pair.near) : (pair.near, pair.far)
        let listener = try await NetstackServerBootstrap(stack: server).childChannelInitializer(serve)
            .bind(to: TransportAddress(.v4(.any), 0).socketAddress()).get()
        let address = dialsBack ? StackPair.nearAddress : StackPair.farAddress
        let port = try UInt16(#require(listener.localAddress?.port))
        let channel = NIOLockedValueBox<(any Channel)?>(nil)
        let output = try await NetstackClientBootstrap(stack: client).connectTimeout(.minutes(1)).channelInitializer {
            dialled in
            channel.withLockedValue { $0 = dialled }
            return dialled.eventLoop.makeSucceededVoidFuture()
        }.connect(to: TransportAddress(address, port).socketAddress(), channelInitializer: dial)
        try await body(output)
        let dialled = try #require(channel.withLockedValue { $0 })
        dialled.close(promise: nil)
        try await dialled.closeFuture.get()
        try await listener.close()
        await pair.untilEmpty()
        await pair.shutdown()
    }
}

@Suite(.timeLimit(.minutes(5))) struct ProtocolTests {
    typealias Answers = Recorder<HTTPClientResponsePart>

    /// Sends requests whose bodies come back, one after the other.
    private func exchange(over channel: any Channel, _ answers: Answers, count: Int = 3) async throws {
        for number in 1...count {
            let body = pattern(300_000, from: number)
            let head = HTTPRequestHead(
                version: .http1_1, method: .POST, uri: "/\(number)",
                headers: ["host": "test", "content-length": "\(body.readableBytes)"])
            channel.write(HTTPClientRequestPart.head(head), promise: nil)
            channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil)
            try await channel.writeAndFlush(HTTPClientRequestPart.end(nil)).get()
            await answers.until { $0.messages.count { if case .end = $0 { true } else { false } } == number }
            let last = answers.messages.split { if case .head = $0 { true } else { false } }.last ?? []
            let echoed = last.reduce(into: ByteBuffer()) { all, part in
                if case .body(let bytes) = part { all.writeImmutableBuffer(bytes) }
            }
            #expect(echoed == body)
        }
    }

    @Test(arguments: Route.all)
    func http1(_ route: Route) async throws {
        let answers = Answers()
        try await route.run(serve: HTTPEcho.addOverHTTP1) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                try channel.pipeline.syncOperations.addHandler(answers)
                return channel
            }
        } _: { channel in
            try await exchange(over: channel, answers)
            #expect(answers.broken == [])
        }
    }

    @Test(arguments: Route.all)
    func http2(_ route: Route) async throws {
        try await route.run(serve: HTTPEcho.addOverHTTP2, dial: connectHTTP2) { try await exchangeStreams($0) }
    }

    private let connectHTTP2: Initializer<NIOHTTP2Handler.StreamMultiplexer> = { channel in
        channel.configureHTTP2Pipeline(
            mode: .client, connectionConfiguration: .init(), streamConfiguration: .init()
        ) { $0.eventLoop.makeSucceededVoidFuture() }
    }

    /// Ten streams at once.
    private func exchangeStreams(_ multiplexer: NIOHTTP2Handler.StreamMultiplexer) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    let answers = Answers()
                    let stream = try await multiplexer.createStreamChannel { stream in
                        stream.eventLoop.makeCompletedFuture {
                            try stream.pipeline.syncOperations.addHandlers(
                                HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: .https), answers)
                        }
                    }.get()
                    try await exchange(over: stream, answers, count: 1)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(.enabled(if: ChildProcess.isInstalled("openssl")), arguments: Route.all)
    func http2OverTLSByALPN(_ route: Route) async throws {
        try await TLSIdentity.with { identity in
            let protocols = Order()
            try await route.run { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = NIOSSLServerHandler(context: try identity.serverContext(protocols: ["h2", "http/1.1"]))
                    try channel.pipeline.syncOperations.addHandler(tls)
                }.flatMap {
                    channel.configureHTTP2SecureUpgrade(
                        h2ChannelConfigurator: HTTPEcho.addOverHTTP2, http1ChannelConfigurator: HTTPEcho.addOverHTTP1)
                }
            } dial: { channel in
                let negotiated = channel.eventLoop.makePromise(of: NIOHTTP2Handler.StreamMultiplexer.self)
                let added: EventLoopFuture<Void> = channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(
                        context: identity.clientContext(protocols: ["h2"]), serverHostname: "localhost")
                    let alpn = ApplicationProtocolNegotiationHandler { (result, channel) in
                        protocols.note("\(result)")
                        let connected = connectHTTP2(channel)
                        connected.cascade(to: negotiated)
                        return connected.map { _ in }
                    }
                    try channel.pipeline.syncOperations.addHandlers(tls, alpn)
                }
                return added.map { negotiated.futureResult }
            } _: { multiplexer in
                try await exchangeStreams(multiplexer.get())
                #expect(protocols.all == ["negotiated(\"h2\")"])
            }
        }
    }

    @Test(.enabled(if: ChildProcess.isInstalled("openssl")), arguments: Route.all)
    func tlsClosesInOrder(_ route: Route) async throws {
        try await TLSIdentity.with { identity in
            let (near, far) = (Bytes(), Bytes { event, context in if event == .read { context.close(promise: nil) } })
            try await route.run { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = NIOSSLServerHandler(context: try identity.serverContext())
                    try channel.pipeline.syncOperations.addHandlers(tls, far)
                }
            } dial: { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(context: identity.clientContext(), serverHostname: "localhost")
                    try channel.pipeline.syncOperations.addHandlers(tls, near)
                    return channel
                }
            } _: { channel in
                try await channel.writeAndFlush(pattern(10)).get()
                await near.until(.inactive)
                #expect(near.errors.isEmpty)
                #expect(far.errors.isEmpty)
            }
        }
    }

    @Test(arguments: Route.all)
    func webSocket(_ route: Route) async throws {
        let frames = Recorder<WebSocketFrame>()
        let upgraded = NIOLockedValueBox<(any Channel)?>(nil)
        try await route.run { channel in
            let upgrader = NIOWebSocketServerUpgrader(
                maxFrameSize: 1 << 20, shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
                upgradePipelineHandler: { channel, _ in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(FrameEcho())
                    }
                })
            return channel.pipeline.configureHTTPServerPipeline(
                withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
        } dial: { channel in
            let upgrader = NIOWebSocketClientUpgrader(maxFrameSize: 1 << 20) { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    upgraded.withLockedValue { $0 = channel }
                    try channel.pipeline.syncOperations.addHandler(frames)
                    frames.wake()
                }
            }
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHTTPClientHandlers(
                    leftOverBytesStrategy: .forwardBytes,
                    withClientUpgrade: (upgraders: [upgrader], completionHandler: { _ in }))
                try channel.pipeline.syncOperations.addHandler(UpgradeRequest())
            }
        } _: { _ in
            await frames.until { _ in upgraded.withLockedValue { $0 != nil } }
            let channel = try #require(upgraded.withLockedValue { $0 })
            for number in 0..<5 {
                let data = pattern(200_000, from: number)
                try await channel.writeAndFlush(
                    WebSocketFrame(fin: true, opcode: .binary, maskKey: .random(), data: data)
                ).get()
                await frames.until { $0.messages.count > number }
                #expect(frames.messages.last?.data == data)
            }
            let close = WebSocketFrame(fin: true, opcode: .connectionClose, maskKey: .random(), data: ByteBuffer())
            try await channel.writeAndFlush(close).get()
            await frames.until(.inactive)
        }
    }
}

// MARK: - Handlers

/// Answers each HTTP request with its body.
private final class HTTPEcho: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    static let addOverHTTP1: Initializer<Void> = { channel in
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.configureHTTPServerPipeline()
            try channel.pipeline.syncOperations.addHandler(HTTPEcho())
        }
    }

    static let addOverHTTP2: Initializer<Void> = { channel in
        channel.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: .init(), streamConfiguration: .init()
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandlers(HTTP2FramePayloadToHTTP1ServerCodec(), HTTPEcho())
            }
        }.map { _ in }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part: HTTPServerResponsePart =
            switch Self.unwrapInboundIn(data) {
            case .head(let head):
                .head(
                    HTTPResponseHead(
                        version: .http1_1, status: .ok,
                        headers: ["content-length": head.headers.first(name: "content-length") ?? "0"]))
            case .body(let bytes): .body(.byteBuffer(bytes))
            case .end: .end(nil)
            }
        context.writeAndFlush(Self.wrapOutboundOut(part), promise: nil)
    }
}

/// Sends each frame back, and closes after a frame that says so.
private final class FrameEcho: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        guard frame.opcode == .binary else { return context.close(promise: nil) }
        let answer = WebSocketFrame(fin: true, opcode: .binary, data: frame.unmaskedData)
        context.writeAndFlush(Self.wrapOutboundOut(answer), promise: nil)
    }
}

/// Asks for an upgrade as soon as the channel is active.
private final class UpgradeRequest: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    func channelActive(context: ChannelHandlerContext) {
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["host": "test"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }
}
