// The real servers that the demo's tunnel leads to: HTTP and UDP on loopback addresses, on the kernel's own stack.

import Crypto
import NIOCore
import NIOHTTP1
import NIOPosix

/// An HTTP server on 127.0.0.1 and ::1: a page at `/`, and a long body at `/body`.
struct LoopbackServer {
    static let page = ByteBuffer(string: "<!doctype html><title>Hello</title><p>Through the tunnel and back.\n")

    /// Threads of its own, as a server elsewhere would have.
    private let group: MultiThreadedEventLoopGroup
    private let channels: [any Channel]
    /// What the long body hashes to.
    let digest: SHA256Digest

    var port: Int { channels[0].localAddress?.port ?? 0 }
    var port6: Int { channels[1].localAddress?.port ?? 0 }

    static func start(bodySize: Int) async throws -> LoopbackServer {
        let chunk = ByteBuffer(bytes: (0..<(1 << 18)).map { _ in UInt8.random(in: 0...255) })
        var hash = SHA256()
        for _ in 0..<(bodySize / chunk.readableBytes) {
            chunk.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var channels: [any Channel] = []
        for host in ["127.0.0.1", "::1"] {
            channels.append(
                try await ServerBootstrap(group: group)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                            try channel.pipeline.syncOperations.addHandler(
                                Handler(chunk: chunk, chunks: bodySize / chunk.readableBytes))
                        }
                    }
                    .bind(host: host, port: 0).get())
        }
        return LoopbackServer(group: group, channels: channels, digest: hash.finalize())
    }

    func stop() async {
        for channel in channels { try? await channel.close() }
        try? await group.shutdownGracefully()
    }

    /// A port of 127.0.0.1 that was free a moment ago.
    static func closedPort() async throws -> UInt16 {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(
            host: "127.0.0.1", port: 0
        ).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return UInt16(truncatingIfNeeded: port)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let chunk: ByteBuffer
        private let chunks: Int
        /// How many chunks of the long body are still to be written.
        private var left = 0

        init(chunk: ByteBuffer, chunks: Int) {
            self.chunk = chunk
            self.chunks = chunks
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head(let request) = unwrapInboundIn(data) else { return }
            let isLong = request.uri == "/body"
            let length = isLong ? chunks * chunk.readableBytes : LoopbackServer.page.readableBytes
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Content-Length": "\(length)"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            if isLong {
                left = chunks
                writeOn(context)
            } else {
                context.write(wrapOutboundOut(.body(.byteBuffer(LoopbackServer.page))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) { writeOn(context) }

        private func writeOn(_ context: ChannelHandlerContext) {
            while left > 0, context.channel.isWritable {
                left -= 1
                context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(chunk))), promise: nil)
                if left == 0 { context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil) }
            }
        }
    }
}

/// A UDP socket on 127.0.0.1 that sends every datagram back.
struct LoopbackEcho {
    private let channel: any Channel
    var port: UInt16 { UInt16(truncatingIfNeeded: channel.localAddress?.port ?? 0) }

    static func start() async throws -> LoopbackEcho {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65535))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return LoopbackEcho(channel: channel)
    }

    func stop() async { try? await channel.close() }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
    }
}
