// Servers in a stack that answer what they must not: each an error, and nothing of the exchange stays.

import NIOCore
import Netstack
import NetstackHTTP
import NetstackNIO
import TestSupport
import Testing

struct BadServerTests {
    @Test(arguments: BadResponse.all)
    func nothingStaysOfABadAnswer(_ answer: String) async throws {
        try await withServer(answering: answer) { client, url in
            await #expect(throws: HTTPClientError.self) {
                _ = try await client.get(url).body.collect(upTo: 1 << 20)
            }
        }
    }

    @Test func aThousandExchangesThatAreDroppedLeaveNothing() async throws {
        try await withServer(answering: ServerConnection.ok(String(repeating: "x", count: 10_000))) { client, url in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        let request = Task { try await client.get(url) }
                        // Some before there is an answer, and the body of none is read.
                        if number % 2 == 0 { request.cancel() }
                        _ = await request.result
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    /// Runs `body` with a client in one stack and a server in another. While both stacks go on, all channels and connections
    /// have to go, and then the event loop has to serve one more.
    private func withServer(
        answering answer: String, _ body: @Sendable (_ client: HTTPClient, _ url: String) async throws -> Void
    ) async throws {
        try await StackPair.with { pair in
            let living = Living()
            let server = try await NetstackServerBootstrap(stack: pair.far)
                .childChannelInitializer { channel in
                    living.add(channel)
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Answer(answer))
                    }
                }
                .bind(to: SocketAddress(ipAddress: "\(StackPair.farAddress)", port: 80)).get()
            let client = HTTPClient(stack: pair.near)
            try await body(client, "http://\(StackPair.farAddress)/")
            while await pair.near.connectionCount + pair.far.connectionCount > 0 || living.count > 0 {
                await Task.yield()
            }
            #expect(server.isActive)
            #expect(try await pair.near.ping(StackPair.farAddress) > .zero)
            await client.shutdown()
            try await server.close()
        }
    }

    /// Answers the first bytes of a request, and closes.
    private final class Answer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let text: String
        private var isAnswered = false

        init(_ text: String) { self.text = text }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !isAnswered else { return }
            isAnswered = true
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            context.close(promise: nil)
        }
    }
}
