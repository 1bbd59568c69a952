// Lets programs of this machine speak with the name server of an exit, which only an entrance's stack can reach.

import NIOCore
import NIOPosix
import Netstack
import TestSupport
import VNI

/// Ports of 127.0.0.1, one for UDP and one for TCP with the same number, that lead to an exit's name server.
enum NameServerRelay {
    private typealias Datagrams = NIOAsyncChannel<AddressedEnvelope<ByteBuffer>, AddressedEnvelope<ByteBuffer>>
    private typealias Bytes = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func with(_ tunnel: Tunnel, _ body: @escaping @Sendable (Int) async throws -> Void) async throws {
        let (listener, datagrams) = try await bind()
        let port = listener.channel.localAddress?.port ?? 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await relay(datagrams, tunnel) }
            group.addTask {
                try await listener.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await connection in connections {
                            group.addTask { try await relay(connection, tunnel) }
                        }
                    }
                }
            }
            try await body(port)
            group.cancelAll()
            // They end by their cancellation.
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }

    /// Someone may have the port of one protocol in the other; so, once more.
    private static func bind() async throws -> (NIOAsyncChannel<Bytes, Never>, Datagrams) {
        let group = MultiThreadedEventLoopGroup.singleton
        while true {
            let listener = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Bytes(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
            do {
                let port = listener.channel.localAddress?.port ?? 0
                let datagrams = try await DatagramBootstrap(group: group).bind(host: "127.0.0.1", port: port) {
                    channel in
                    channel.eventLoop.makeCompletedFuture { try Datagrams(wrappingChannelSynchronously: channel) }
                }
                return (listener, datagrams)
            } catch {
                try await listener.channel.close()
            }
        }
    }

    private static func relay(_ datagrams: Datagrams, _ tunnel: Tunnel) async throws {
        try await datagrams.executeThenClose { inbound, outbound in
            for try await query in inbound {
                let socket = try await tunnel.entrance.stack.openUDP()
                try await socket.send(query.data, to: nameServer())
                let reply = try await socket.receive()
                try await outbound.write(AddressedEnvelope(remoteAddress: query.remoteAddress, data: reply.payload))
            }
        }
    }

    private static func relay(_ client: Bytes, _ tunnel: Tunnel) async throws {
        // First of all: a channel that nobody executes ends the process.
        try await client.executeThenClose { inbound, outbound in
            let server = try await tunnel.connectToNameServer()
            async let queries: Void = {
                for try await bytes in inbound { try await server.write(bytes) }
                try await server.closeWrite()
            }()
            while let bytes = try await server.read() { try await outbound.write(bytes) }
            outbound.finish()
            try await queries
        }
    }
}
