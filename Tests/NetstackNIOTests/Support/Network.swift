// What a behaviour runs on: the kernel's loopback under NIO's channels, or two stacks under ours.

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Netstack
import NetstackNIO
import TestSupport
import Testing

enum Transport: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case kernel, stack

    var testDescription: String { rawValue }

    /// Runs a behaviour, and shows that NIO's promises were kept and that nothing is left.
    func run(_ body: @Sendable (Network) async throws -> Void) async throws {
        let network = try await Network(self)
        do {
            try await body(network)
        } catch {
            await network.end()
            throw error
        }
        await network.end()
        for check in network.checks.withLockedValue({ $0 }) { #expect(check() == []) }
    }
}

typealias Bytes = Recorder<ByteBuffer>

/// Both ends of a connection, and what they have told.
struct Ends: Sendable {
    let near: any Channel
    let far: any Channel
    let nearEvents: Bytes
    let farEvents: Bytes
}

struct Network: Sendable {
    let transport: Transport
    let loop: any EventLoop
    private let pair: StackPair?
    private let channels = NIOLockedValueBox<[any Channel]>([])
    let checks = NIOLockedValueBox<[@Sendable () -> [String]]>([])

    init(_ transport: Transport) async throws {
        self.transport = transport
        loop = MultiThreadedEventLoopGroup.singleton.next()
        pair = transport == .stack ? try await StackPair(nearLoop: loop, farLoop: loop) : nil
    }

    fileprivate func end() async {
        for channel in channels.withLockedValue({ $0 }) {
            channel.close(promise: nil)
            try? await channel.closeFuture.get()
        }
        guard let pair else { return }
        await pair.untilEmpty()
        await pair.shutdown()
    }

    /// Closes a channel after the test.
    func keep(_ channel: any Channel) { channels.withLockedValue { $0.append(channel) } }

    /// Adds a handler to each channel that an initializer is called for, in front of `recorder`.
    func adding<Message>(_ recorder: Recorder<Message>) -> Initializer<Void> {
        checks.withLockedValue { $0.append { recorder.broken } }
        return { channel in
            self.keep(channel)
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(recorder)
            }
        }
    }

    // MARK: Addresses

    private func address(_ address: IPAddress?) throws -> SocketAddress {
        try TransportAddress(address ?? .v4(.loopback), 0).socketAddress()
    }

    /// Any port of the address that clients have.
    var nearAddress: SocketAddress { get throws { try address(pair.map { _ in StackPair.nearAddress }) } }

    /// Any port of the address that servers have.
    var farAddress: SocketAddress { get throws { try address(pair.map { _ in StackPair.farAddress }) } }

    /// Where nothing listens.
    func closedAddress() throws -> SocketAddress {
        var address = try farAddress
        address.port = pair == nil ? Int(try closedPort()) : 9
        return address
    }

    /// Where no datagrams are received: no test is given this port.
    func deafAddress() throws -> SocketAddress {
        var address = try farAddress
        address.port = 9
        return address
    }

    /// Where nobody answers.
    func silentAddress() throws -> SocketAddress {
        guard pair == nil else { return try TransportAddress("10.9.9.9:9").socketAddress() }
        var address = try farAddress
        address.port = Int(try silentPort())
        return address
    }

    // MARK: Channels

    var client: any TCPClient {
        let client: any TCPClient =
            if let pair { NetstackClientBootstrap(stack: pair.near) } else { ClientBootstrap(group: loop) }
        return client.connectTimeout(.minutes(1))
    }

    var server: any TCPServer {
        if let pair { NetstackServerBootstrap(stack: pair.far) } else { ServerBootstrap(group: loop) }
    }

    var nearDatagrams: any Datagrams {
        if let pair { NetstackDatagramBootstrap(stack: pair.near) } else { DatagramBootstrap(group: loop) }
    }

    var farDatagrams: any Datagrams {
        if let pair { NetstackDatagramBootstrap(stack: pair.far) } else { DatagramBootstrap(group: loop) }
    }

    /// A server that adds `recorder` to the one channel it accepts.
    func listen(
        _ recorder: Bytes = Bytes(), _ configure: (any TCPServer) -> any TCPServer = { $0 }
    ) async throws -> any Channel {
        let server = configure(server.childChannelInitializer(adding(recorder)))
        let channel = try await server.bind(to: farAddress).get()
        keep(channel)
        return channel
    }

    func connect(
        to server: any Channel, _ recorder: Bytes = Bytes(), _ configure: (any TCPClient) -> any TCPClient = { $0 }
    ) async throws -> any Channel {
        let client = configure(client.channelInitializer(adding(recorder)))
        return try await client.connect(to: #require(server.localAddress)).get()
    }

    /// An open connection.
    func ends(
        near: Bytes = Bytes(), far: Bytes = Bytes(), client: (any TCPClient) -> any TCPClient = { $0 },
        server: (any TCPServer) -> any TCPServer = { $0 }
    ) async throws -> Ends {
        let listener = try await listen(far, server)
        let channel = try await connect(to: listener, near, client)
        await far.until(.active)
        let child = try #require(channels.withLockedValue { $0.first { $0.parent === listener } })
        try await listener.close().get()
        return Ends(near: channel, far: child, nearEvents: near, farEvents: far)
    }
}

extension StackPair {
    /// Waits until neither stack has a connection: what the last close has led to is still under way.
    func untilEmpty() async {
        for stack in [near, far] {
            while await stack.connectionCount > 0 { await Task.yield() }
        }
    }
}

extension Channel {
    /// Makes the coming close a reset.
    func resetOnClose() async throws {
        try await #require(self as? any SocketOptionProvider).setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    }

    func write(text: String) -> EventLoopFuture<Void> { writeAndFlush(ByteBuffer(string: text)) }

    /// An option, on the event loop of the channel.
    func option<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        try #require(syncOptions).getOption(option)
    }

    func setOptionNow<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        try #require(syncOptions).setOption(option, value: value)
    }

    /// Runs `body` on the event loop of the channel.
    func sync<Result: Sendable>(_ body: @escaping @Sendable (any Channel) throws -> Result) async throws -> Result {
        try await eventLoop.submit { try body(self) }.get()
    }
}
