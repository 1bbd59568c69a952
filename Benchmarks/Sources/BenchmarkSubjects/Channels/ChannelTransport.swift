// What carries NIO channels: the same handlers run over each.

import NIOCore
import NIOPosix
import Netstack
import NetstackLinks
import NetstackNIO

/// Both ends of a network.
protocol ChannelTransport: Sendable {
    typealias Initializer = @Sendable (any Channel) -> EventLoopFuture<Void>

    /// Listens, and returns where.
    func serve(_ initializer: @escaping Initializer) async throws -> SocketAddress
    func connect(to server: SocketAddress, _ initializer: @escaping Initializer) async throws -> any Channel
}

/// NIO's own sockets, over the kernel's loopback, each end on an event loop of its own.
struct KernelChannels: ChannelTransport {
    private let clients = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let servers = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    func serve(_ initializer: @escaping Initializer) async throws -> SocketAddress {
        let server = try await ServerBootstrap(group: servers).serverChannelOption(.backlog, value: 4096)
            .childChannelInitializer(initializer).bind(host: "127.0.0.1", port: 0).get()
        return try localAddress(of: server)
    }

    func connect(to server: SocketAddress, _ initializer: @escaping Initializer) async throws -> any Channel {
        try await ClientBootstrap(group: clients).channelInitializer(initializer).connect(to: server).get()
    }
}

/// Channels over two stacks that a memory link joins, on one event loop.
struct StackChannels: ChannelTransport {
    private let client: NetstackHost
    private let server: NetstackHost

    init(_ tcp: TCPImplementation, mtu: Int, roundTrip: Duration) async throws {
        (client, server) = try await NetstackHost.pair(tcp, mtu: mtu, roundTrip: roundTrip)
    }

    func serve(_ initializer: @escaping Initializer) async throws -> SocketAddress {
        let address = try SocketAddress(ipAddress: "\(server.address)", port: 0)
        return try await localAddress(
            of: NetstackServerBootstrap(stack: server.stack).serverChannelOption(.backlog, value: 4096)
                .childChannelInitializer(initializer).bind(to: address).get())
    }

    func connect(to server: SocketAddress, _ initializer: @escaping Initializer) async throws -> any Channel {
        try await NetstackClientBootstrap(stack: client.stack).channelInitializer(initializer).connect(to: server).get()
    }
}

private func localAddress(of channel: any Channel) throws -> SocketAddress {
    guard let address = channel.localAddress else { throw ChannelError.unknownLocalAddress }
    return address
}
