// The HTTP server behind a NIC: whatever is dialled there, it answers.

import Foundation
import HTTPTypes
import NIOCore
import NIOPosix
import Netstack
import NetstackHTTP
import NetstackNIO
import TestSupport
import Testing

struct ForwarderTests {
    private static let chunk = ByteBuffer(repeating: 0x61, count: 1 << 16)
    private static let chunkCount = 512

    /// Far from any address of the stacks.
    private static let anywhere = "203.0.113.7"

    private func withForwarder(
        _ handler: @escaping HTTPOverTCPForwarder.Handler, _ test: @Sendable (Stack, HTTPClient) async throws -> Void
    ) async throws {
        try await StackPair.with(farPromiscuous: true) { pair in
            try await HTTPOverTCPForwarder(handler: handler).attach(to: pair.far, nic: 1)
            let client = HTTPClient(stack: pair.near)
            do {
                try await test(pair.near, client)
            } catch {
                await client.shutdown()
                throw error
            }
            await client.shutdown()
        }
    }

    /// What comes back over a connection until its server closes.
    private func answers(to requests: String, over stack: Stack, thenClosed: Bool = false) async throws -> String {
        let connection = try await stack.connect(to: TransportAddress("\(Self.anywhere):80"))
        try await connection.write(ByteBuffer(string: requests))
        if thenClosed { try await connection.closeWrite() }
        var answers = ByteBuffer()
        while let bytes = try await connection.read() { answers.writeImmutableBuffer(bytes) }
        await connection.close()
        return String(buffer: answers)
    }

    @Test(arguments: ["203.0.113.7:80", "[2001:db8::7]:8080"])
    func answersWhateverIsDialled(_ place: String) async throws {
        try await withForwarder { request in
            .init(headerFields: [.server: "\(request.source.address)"], body: .text("\(request.destination)"))
        } _: { _, client in
            let response = try await client.get("http://\(place)/")
            let address = try TransportAddress(place)
            #expect(
                response.headerFields[.server]
                    == "\(address.address.version == .v4 ? StackPair.nearAddress : StackPair.nearAddress6)")
            try await #expect(response.text() == "\(address)")
        }
    }

    @Test func connectionsThatComeAndGoLeaveNothing() async throws {
        try await withForwarder { _ in
            .init(headerFields: [.connection: "close"], body: .text("."))
        } _: { stack, client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        let request = Task { try await client.get("http://\(Self.anywhere)/\(number)").text() }
                        // Every third is given up, wherever it is by then.
                        if number % 3 == 0 { request.cancel() }
                        let result = await request.result
                        if number % 3 != 0 { try #expect(result.get() == ".") }
                    }
                }
                try await group.waitForAll()
            }
            await client.shutdown()
            #expect(await stack.connectionCount == 0)
        }
    }

    @Test func streamsAnswersAsFastAsTheyAreRead() async throws {
        let made = Counter()
        try await withForwarder { _ in
            .init(
                body: .stream(
                    chunks(Self.chunkCount) {
                        made.add()
                        return Self.chunk
                    }))
        } _: { _, client in
            let response = try await client.get("http://\(Self.anywhere)/")
            // Buffers on the way hold some of it, and nobody reads.
            for _ in 0..<100 { await Task.yield() }
            #expect(made.value < Self.chunkCount)
            var received = 0
            for try await bytes in response.body { received += bytes.readableBytes }
            #expect(received == Self.chunkCount << 16)
        }
    }

    @Test func echoesABodyWhileItComes() async throws {
        try await withForwarder { request in
            .init(body: .stream(request.body))
        } _: { _, client in
            for length in [nil, Self.chunkCount << 16] {
                let body = HTTPBody.stream(chunks(Self.chunkCount) { Self.chunk }, length: length)
                let response = try await client.post("http://\(Self.anywhere)/", body: body)
                var received = 0
                for try await bytes in response.body { received += bytes.readableBytes }
                #expect(received == Self.chunkCount << 16)
            }
        }
    }

    @Test func goesOnAfterABodyThatNobodyHasRead() async throws {
        try await withForwarder { request in
            .init(request.head.method == .post ? .contentTooLarge : .ok, body: .text("."))
        } _: { stack, _ in
            let text = try await answers(
                to: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"
                    + "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                over: stack)
            #expect(
                text == "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 1\r\n\r\n."
                    + "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n.")
        }
    }

    @Test func sendsNoBodyWhereNoneMayBe() async throws {
        try await withForwarder { request in
            .init(request.head.path == "/none" ? .noContent : .ok, body: .text("body"))
        } _: { stack, _ in
            let text = try await answers(
                to: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                over: stack)
            #expect(
                text == "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
                    + "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        }
    }

    @Test func asksForABodyOnlyWhenSomebodyReadsIt() async throws {
        try await withForwarder { request in
            guard request.head.path == "/read" else { return .init(.contentTooLarge) }
            var body = ByteBuffer()
            for try await bytes in request.body { body.writeImmutableBuffer(bytes) }
            return .init(body: .bytes(body))
        } _: { stack, _ in
            let head = "HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
            try await #expect(
                answers(to: "POST /read \(head)Connection: close\r\n\r\nhi", over: stack)
                    == "HTTP/1.1 100 Continue\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
            // A client that may not know whether its body is wanted can't use the connection again.
            try await #expect(
                answers(to: "POST / \(head)\r\nhi", over: stack)
                    == "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        }
    }

    @Test func answersAnErrorOfTheHandlerWith500() async throws {
        struct Broken: Error {}
        try await withForwarder { _ in
            throw Broken()
        } _: { _, client in
            try await #expect(client.get("http://\(Self.anywhere)/").status == .internalServerError)
        }
    }

    @Test func breaksOffWhereABodyFails() async throws {
        struct Broken: Error {}
        try await withForwarder { _ in
            let made = Counter()
            return .init(
                body: .stream(
                    chunks(2) {
                        made.add()
                        guard made.value == 1 else { throw Broken() }
                        return ByteBuffer(string: "half")
                    }))
        } _: { _, client in
            let response = try await client.get("http://\(Self.anywhere)/")
            await #expect(throws: HTTPClientError.self) { try await response.text() }
        }
    }

    @Test func closesWhenItsAnswerSaysSo() async throws {
        try await withForwarder { _ in
            .init(headerFields: [.connection: "close"], body: .text("."))
        } _: { stack, _ in
            // The client waits for the end, which is the server's to make.
            let answer = try await answers(to: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", over: stack)
            #expect(answer.hasSuffix("\r\n\r\n."))
        }
    }

    @Test func doesNotWaitForTheEndOfABodyThatNobodyReads() async throws {
        try await withForwarder { _ in
            .init(body: .text("."))
        } _: { stack, _ in
            let request =
                "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
            try await #expect(answers(to: request, over: stack).hasSuffix("\r\n\r\n."))
        }
    }

    @Test(arguments: ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"])
    func refusesNonsense(_ request: String) async throws {
        try await withForwarder { _ in
            .init()
        } _: { stack, _ in
            try await #expect(answers(to: request, over: stack).hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        }
    }

    /// The head is good, and has been handed on when the fault is met: one answer all the same, and no other request behind it.
    @Test(arguments: ["x\r\n", "1\r\nab\r\n", "1\r\n"])
    func answersAFaultInABodyOnce(_ body: String) async throws {
        try await withForwarder { request in
            for try await _ in request.body {}
            return .init(body: .text("whole"))
        } _: { stack, _ in
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            try await #expect(
                answers(to: head + body, over: stack, thenClosed: true)
                    == "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        }
    }

    @Test(arguments: ["1.0", "1.1"])
    func answersAClientThatHasClosedItsSide(_ version: String) async throws {
        try await withForwarder { _ in
            .init(body: .text("."))
        } _: { stack, _ in
            try await #expect(
                answers(to: "GET / HTTP/\(version)\r\nHost: a\r\n\r\n", over: stack, thenClosed: true)
                    .hasSuffix("\r\n\r\n."))
        }
    }

    @Test func refusesAHeadThatIsTooLong() async throws {
        try await withForwarder { _ in
            .init()
        } _: { stack, _ in
            let field = "X: " + String(repeating: "a", count: 100_000) + "\r\n"
            try await #expect(
                answers(to: "GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n", over: stack)
                    .hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        }
    }

    /// RFC 9112 section 6.1: no chunks, and the end of the connection is that of the answer.
    @Test func answersAClientOfHTTP10() async throws {
        try await withForwarder { request in
            request.head.path == "/stream"
                ? .init(body: .stream(chunks(2) { ByteBuffer(string: "half") })) : .init(body: .text("."))
        } _: { stack, _ in
            try await #expect(
                answers(to: "GET / HTTP/1.0\r\n\r\n", over: stack)
                    == "HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n.")
            try await #expect(
                answers(to: "GET /stream HTTP/1.0\r\n\r\n", over: stack)
                    == "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhalfhalf")
        }
    }

    /// As a proxy's that passes on what it hears.
    @Test(arguments: [100, 103] as [HTTPResponse.Status])
    func answersAnInformationalStatusWith500(_ status: HTTPResponse.Status) async throws {
        try await withForwarder { _ in
            .init(status)
        } _: { _, client in
            try await #expect(client.get("http://\(Self.anywhere)/").status == .internalServerError)
        }
    }

    @Test func servesWithHandlersOfOthers() async throws {
        try await StackPair.with(farPromiscuous: true) { pair in
            let forwarder = HTTPOverTCPForwarder { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            } serve: { connection in
                try? await connection.executeThenClose { inbound, outbound in
                    guard let bytes = try await inbound.first(where: { _ in true }) else { return }
                    try await outbound.write(bytes)
                }
            }
            try await forwarder.attach(to: pair.far, nic: 1)
            try await #expect(answers(to: "anything", over: pair.near) == "anything")
        }
    }

    /// A kernel's port that leads into a stack, for curl.
    @Test(.enabled(if: ChildProcess.isInstalled("curl")))
    func answersCurl() async throws {
        try await withForwarder { request in
            .init(body: .stream(request.body))
        } _: { stack, _ in
            let destination = try SocketAddress(ipAddress: Self.anywhere, port: 80)
            let door = try await ServerBootstrap(group: stack.eventLoop).childChannelOption(.autoRead, value: false)
                .childChannelInitializer { near in
                    NetstackClientBootstrap(stack: stack)
                        .channelInitializer { far in
                            far.eventLoop.makeCompletedFuture {
                                try far.pipeline.syncOperations.addHandler(Passage(near))
                                try near.pipeline.syncOperations.addHandler(Passage(far))
                            }
                        }
                        .connect(to: destination).flatMap { _ in near.setOption(.autoRead, value: true) }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            try await withFolder { folder in
                let text = String(repeating: "0123456789abcde\n", count: 1 << 17)
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/body"))
                let result = try await ChildProcess.run([
                    "curl", "--silent", "--show-error", "--max-time", "30", "--data-binary", "@\(folder)/body",
                    "http://127.0.0.1:\(door.localAddress?.port ?? 0)/", "--output", "\(folder)/answer",
                    "--write-out", "%{http_code} %{size_download}",
                ])
                #expect(result.output == "200 \(text.utf8.count)")
            }
            try await door.close()
        }
    }
}

/// So many chunks, each made when it is asked for.
private func chunks(
    _ count: Int, _ make: @escaping @Sendable () throws -> ByteBuffer
) -> AsyncThrowingStream<ByteBuffer, any Error> {
    let made = Counter()
    return AsyncThrowingStream {
        guard made.value < count else { return nil }
        made.add()
        return try make()
    }
}

/// Passes everything on to the channel at the other end.
private final class Passage: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let other: any Channel

    init(_ other: any Channel) { self.other = other }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
}
