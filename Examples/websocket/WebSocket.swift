// A WebSocket between two stacks: texts go there and come back.

import NIOCore
import NIOHTTP1
import NIOWebSocket
import Netstack
import NetstackNIO

@main
enum Example {
    static func main() async throws {
        let (here, there) = MemoryLink.pipe()
        let near = try await stack("10.0.0.1", here)
        let far = try await stack("10.0.0.2", there)
        let address = try SocketAddress(ipAddress: "10.0.0.2", port: 80)
        let server = try await EchoServer(on: far, at: address)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let socket = try await WebSocket.connect(through: near, to: address)
            try await socket.executeThenClose { inbound, outbound in
                var frames = inbound.makeAsyncIterator()
                for text in ["Hello", "from a stack", "to another"] {
                    // What clients send is masked (RFC 6455 section 5.3).
                    try await outbound.write(
                        WebSocketFrame(fin: true, opcode: .text, maskKey: .random(), data: ByteBuffer(string: text)))
                    guard let answer = try await frames.next() else { break }
                    print(String(buffer: answer.unmaskedData))
                }
            }
            group.cancelAll()
        }
        await near.shutdown()
        await far.shutdown()
    }

    private static func stack(_ address: String, _ link: MemoryLink) async throws -> Stack {
        let stack = try Stack()
        try await stack.createNIC(1, link: link, addresses: [IPAddress(address)])
        try await stack.addRoute(to: .everyIPv4, via: 1)
        return stack
    }
}

/// A channel after the handshake of RFC 6455.
typealias WebSocket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

struct NotAWebSocket: Error {}

extension WebSocket {
    static func connect(through stack: Stack, to address: SocketAddress) async throws -> WebSocket {
        let upgraded = try await NetstackClientBootstrap(stack: stack).connect(to: address) { channel in
            channel.eventLoop.makeCompletedFuture {
                let upgrader = NIOTypedWebSocketClientUpgrader<WebSocket>(upgradePipelineHandler: { channel, _ in
                    channel.eventLoop.makeCompletedFuture { try WebSocket(wrappingChannelSynchronously: channel) }
                })
                let head = HTTPRequestHead(
                    version: .http1_1, method: .GET, uri: "/", headers: ["Host": "10.0.0.2", "Content-Length": "0"])
                let configuration = NIOTypedHTTPClientUpgradeConfiguration(
                    upgradeRequestHead: head, upgraders: [upgrader],
                    notUpgradingCompletionHandler: { $0.eventLoop.makeFailedFuture(NotAWebSocket()) })
                return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(
                    configuration: .init(upgradeConfiguration: configuration))
            }
        }
        return try await upgraded.get()
    }
}

/// Sends each text back.
struct EchoServer: Sendable {
    private let listener: NIOAsyncChannel<EventLoopFuture<WebSocket>, Never>

    init(on stack: Stack, at address: SocketAddress) async throws {
        listener = try await NetstackServerBootstrap(stack: stack).bind(to: address) { channel in
            channel.eventLoop.makeCompletedFuture {
                let upgrader = NIOTypedWebSocketServerUpgrader<WebSocket>(
                    shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture([:]) },
                    upgradePipelineHandler: { channel, _ in
                        channel.eventLoop.makeCompletedFuture { try WebSocket(wrappingChannelSynchronously: channel) }
                    })
                let configuration = NIOTypedHTTPServerUpgradeConfiguration(
                    upgraders: [upgrader],
                    notUpgradingCompletionHandler: { $0.eventLoop.makeFailedFuture(NotAWebSocket()) })
                return try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                    configuration: .init(upgradeConfiguration: configuration))
            }
        }
    }

    /// Serves until the task is cancelled or the stack ends.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { connections in
                for try await connection in connections { group.addTask { try? await serve(connection.get()) } }
            }
        }
    }

    private func serve(_ socket: WebSocket) async throws {
        try await socket.executeThenClose { inbound, outbound in
            for try await frame in inbound where frame.opcode == .text {
                try await outbound.write(WebSocketFrame(fin: true, opcode: .text, data: frame.unmaskedData))
            }
        }
    }
}
