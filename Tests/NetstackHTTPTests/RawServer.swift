// A server on loopback whose every byte is the test's.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport

/// Runs a script for each accepted connection, which is closed when the script ends.
struct RawServer: Sendable {
    let host: String
    let port: Int
    private let count: NIOLockedValueBox<Int>
    /// When a connection has ended, also one that was closed before a script could run.
    let ended: Event

    /// How many connections have been accepted.
    var accepted: Int { count.withLockedValue { $0 } }

    func url(_ path: String = "/", scheme: String = "http", host: String? = nil) -> String {
        "\(scheme)://\(host ?? self.host):\(port)\(path)"
    }

    typealias Script = @Sendable (ServerConnection) async throws -> Void

    static func run(
        on address: String = "127.0.0.1", tls: NIOSSLContext? = nil, _ script: @escaping Script,
        while test: (RawServer) async throws -> Void
    ) async throws {
        // Wrapped by whoever runs the script: one that nobody takes any more must not be a `NIOAsyncChannel`, which insists
        // on being used.
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.autoRead, value: false)
            .bind(host: address, port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    return channel
                }
            }
        let count = NIOLockedValueBox(0)
        let ended = Event()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // The listener ends with the test.
                try? await listener.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await channel in connections {
                            let number = count.withLockedValue {
                                $0 += 1
                                return $0
                            }
                            group.addTask {
                                defer { ended.happen() }
                                // What a script throws is what its client did: closing early, most often.
                                try? await wrap(channel).executeThenClose { inbound, _ in
                                    try await script(ServerConnection(number, channel, inbound))
                                }
                            }
                        }
                    }
                }
            }
            let port = listener.channel.localAddress?.port ?? 0
            let host = address.contains(":") ? "[\(address)]" : address
            try await test(RawServer(host: host, port: port, count: count, ended: ended))
            group.cancelAll()
        }
    }
}

/// Lets a task use a channel, which begins to read.
private func wrap(_ channel: any Channel) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
    try await channel.eventLoop.submit {
        let wrapped = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
            wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: false))
        try channel.syncOptions?.setOption(.autoRead, value: true)
        return wrapped
    }.get()
}

/// The server's side of a connection. Belongs to its script.
final class ServerConnection {
    /// 1 for the first accepted.
    let number: Int
    let channel: any Channel
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private var buffer = ByteBuffer()

    init(
        _ number: Int, _ channel: any Channel, _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>
    ) {
        self.number = number
        self.channel = channel
        self.inbound = inbound.makeAsyncIterator()
    }

    /// The next bytes; nil when the client has closed.
    func receive() async throws -> ByteBuffer? {
        if buffer.readableBytes > 0 {
            defer { buffer.clear() }
            return buffer
        }
        return try await inbound.next(isolation: #isolation)
    }

    /// The head of the next request, up to its empty line; nil when the client has closed.
    func head() async throws -> String? {
        while true {
            let text = String(buffer: buffer)
            if let end = text.firstRange(of: "\r\n\r\n") {
                let head = String(text[..<end.lowerBound])
                buffer.moveReaderIndex(forwardBy: head.utf8.count + 4)
                return head
            }
            guard var bytes = try await inbound.next(isolation: #isolation) else { return nil }
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next `count` bytes as text.
    func text(_ count: Int) async throws -> String {
        while buffer.readableBytes < count, var bytes = try await inbound.next(isolation: #isolation) {
            buffer.writeBuffer(&bytes)
        }
        return buffer.readString(length: min(count, buffer.readableBytes)) ?? ""
    }

    /// Waits until the client closes.
    func untilClosed() async throws {
        while try await receive() != nil {}
    }

    func send(_ text: String) async throws {
        try await send(ByteBuffer(string: text))
    }

    /// Returns when the kernel has taken all of it.
    func send(_ bytes: ByteBuffer) async throws {
        try await channel.writeAndFlush(bytes).get()
    }

    /// Answers each request on the connection with its number on it, until the client closes.
    func answerAll(_ reply: (Int, String) -> String = { number, _ in ServerConnection.ok("\(number)") }) async throws {
        var number = 0
        while let head = try await head() {
            number += 1
            try await send(reply(number, head))
        }
    }

    static func ok(_ body: String, _ fields: String = "") -> String {
        "HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}
