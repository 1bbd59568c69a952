// The examples of "Using NIO protocols over a stack", as they stand there.

import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOSSL
import Netstack
import NetstackNIO
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct ArticleTests {
    @Test func aServerOfHTTPAnswers() async throws {
        try await StackPair.with { pair in
            let stack = pair.far
            let server = try await NetstackServerBootstrap(stack: stack)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(HelloHandler())
                    }
                }
                .bind(to: SocketAddress(ipAddress: "0.0.0.0", port: 80))
                .get()

            let connection = try await pair.near.connect(to: TransportAddress(StackPair.farAddress, 80))
            try await connection.write("GET / HTTP/1.0\r\n\r\n")
            #expect(String(buffer: try await connection.readToEnd()).hasSuffix("\r\n\r\nhello"))
            await connection.close()
            try await server.close()
        }
    }

    @Test func aClientMayPutTLSFirst() async throws {
        try await StackPair.with { pair in
            let stack = pair.near
            let listener = try await pair.far.listen(port: 443)
            async let accepted = listener.first { _ in true }
            let context = try NIOSSLContext(configuration: .makeClientConfiguration())
            let channel = try await NetstackClientBootstrap(stack: stack)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let tls = try NIOSSLClientHandler(context: context, serverHostname: "example.com")
                        try channel.pipeline.syncOperations.addHandler(tls)
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    }
                }
                .connect(to: SocketAddress(ipAddress: "10.0.0.2", port: 443))
                .get()

            let connection = try #require(await accepted)
            let handshake: UInt8 = 22
            #expect(try await connection.read()?.getInteger(at: 0) == handshake)
            await connection.reset()
            try await channel.closeFuture.get()
        }
    }

    @Test func aListenerIsASequenceOfConnections() async throws {
        try await StackPair.with { pair in
            let stack = pair.far
            let echo = Task {
                let server = try await NetstackServerBootstrap(stack: stack)
                    .bind(to: SocketAddress(ipAddress: "0.0.0.0", port: 7)) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                        }
                    }

                try await withThrowingDiscardingTaskGroup { group in
                    try await server.executeThenClose { connections in
                        for try await connection in connections {
                            group.addTask {
                                try? await connection.executeThenClose { inbound, outbound in
                                    for try await bytes in inbound { try await outbound.write(bytes) }
                                }
                            }
                        }
                    }
                }
            }
            var connection: TCPConnection?
            while connection == nil {
                connection = try? await pair.near.connect(to: TransportAddress(StackPair.farAddress, 7))
            }
            try await connection?.write("hello")
            #expect(try await connection?.read(exactly: 5) == ByteBuffer(string: "hello"))
            await connection?.close()
            echo.cancel()
            _ = await echo.result
        }
    }

    @Test func aSocketSendsDatagrams() async throws {
        try await StackPair.with { pair in
            let stack = pair.near
            let far = try await pair.far.openUDP(port: 53)
            let socket = try await NetstackDatagramBootstrap(stack: stack)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramHandler())
                    }
                }
                .bind(to: SocketAddress(ipAddress: "0.0.0.0", port: 0))
                .get()

            let question = AddressedEnvelope(
                remoteAddress: try SocketAddress(ipAddress: "10.0.0.2", port: 53), data: ByteBuffer(string: "question"))
            try await socket.writeAndFlush(question)
            #expect(try await far.receive().payload == ByteBuffer(string: "question"))
            try await socket.close()
        }
    }
}

/// Says hello to each request, and closes.
private final class HelloHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = Self.unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_0, status: .ok)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "hello")))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }
}

private final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
}
