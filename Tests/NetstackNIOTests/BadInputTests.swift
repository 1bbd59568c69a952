// What goes wrong outside of a channel: each ends in a typed error or a clean close, and leaves nothing behind.

import NIOCore
import NIOSSL
import Netstack
import NetstackNIO
import TestSupport
import Testing

/// Two stacks and their channels, none of which may be left in the end.
private struct Site: Sendable {
    let pair: StackPair
    let living = Living()

    static func run(_ body: @Sendable (Site) async throws -> Void) async throws {
        let site = Site(pair: try await StackPair())
        try await body(site)
        await site.pair.untilEmpty()
        while site.living.count > 0 { await Task.yield() }
        await site.pair.shutdown()
    }

    /// A client whose channels are counted.
    func client(_ recorder: Bytes = Bytes()) -> NetstackClientBootstrap {
        NetstackClientBootstrap(stack: pair.near).connectTimeout(.minutes(1)).channelInitializer(adding(recorder))
    }

    func adding(_ recorder: Bytes) -> Initializer<Void> {
        { channel in
            living.add(channel)
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(recorder)
            }
        }
    }

    func listen(autoRead: Bool = true, children: @escaping Initializer<Void>) async throws -> any Channel {
        let server = try await NetstackServerBootstrap(stack: pair.far)
            .serverChannelOption(.autoRead, value: autoRead).childChannelInitializer(children)
            .bind(to: farAddress(0)).get()
        living.add(server)
        return server
    }

    func farAddress(_ port: UInt16) throws -> SocketAddress {
        try TransportAddress(StackPair.farAddress, port).socketAddress()
    }
}

@Suite(.timeLimit(.minutes(5))) struct BadInputTests {
    /// Ways in which a connect fails.
    enum Failure: CaseIterable {
        case refused, prohibited, hostUnreachable, timedOut, noRoute, addressInUse, shutDown, linkDown
    }

    @Test(arguments: Failure.allCases)
    func aConnectFailsWithATypedError(_ failure: Failure) async throws {
        try await Site.run { site in
            var client = site.client()
            var address = TransportAddress(StackPair.farAddress, 9)
            let expected: NetstackError
            var server: (any Channel)?
            switch failure {
            case .refused:
                expected = .refused(address)
            case .prohibited:
                try await site.pair.far.handleConnections(on: 1) { $0.reject() }
                expected = .prohibited(address)
            case .hostUnreachable:
                try await site.pair.far.handleConnections(on: 1) { $0.reject(.hostUnreachable) }
                expected = .unreachable(address, .host)
            case .timedOut:
                address.address = .v4(IPv4Address(10, 9, 9, 9))
                client = client.connectTimeout(.milliseconds(10))
                expected = .timedOut(address)
            case .noRoute:
                await site.pair.near.removeRoute(to: .everyIPv4, via: 1)
                expected = .noRoute(address.address)
            case .addressInUse:
                let taken = TransportAddress(StackPair.nearAddress, 1234)
                client = try client.bind(to: taken.socketAddress())
                server = try await NetstackServerBootstrap(stack: site.pair.near).bind(to: taken.socketAddress()).get()
                expected = .addressInUse(taken)
            case .shutDown:
                await site.pair.near.shutdown()
                expected = .stackShutDown
            case .linkDown:
                try await site.pair.far.handleConnections(on: 1) { _ in
                    Task { try await site.pair.near.removeNIC(1) }
                }
                expected = .linkDown(reason: "\(NICID(1)) was removed")
            }
            let connected = try client.connect(to: address.socketAddress())
            await #expect(throws: expected) { try await connected.get() }
            try await server?.close().get()
        }
    }

    /// What a channel may be doing when its stack is shut down.
    enum Doing: CaseIterable {
        case connecting, nothing, writing, waitingForAReader, outputClosed, inputClosed, bothWaiting
    }

    @Test(arguments: Doing.allCases)
    func aStackShutDownClosesItsChannels(_ doing: Doing) async throws {
        try await Site.run { site in
            let near = Bytes()
            let far = Bytes { event, context in
                guard event == .active else { return }
                if doing == .waitingForAReader { context.writeAndFlush(NIOAny(pattern(1000)), promise: nil) }
                if doing == .inputClosed { context.close(mode: .output, promise: nil) }
            }
            let stack = site.pair.near
            var client = site.client(near).channelOption(.allowRemoteHalfClosure, value: true)
            if doing == .waitingForAReader { client = client.channelOption(.autoRead, value: false) }
            if doing == .connecting {
                let connected = try client.connect(to: TransportAddress("10.9.9.9:9").socketAddress())
                while await stack.connectionCount == 0 { await Task.yield() }
                await stack.shutdown()
                await #expect(throws: NetstackError.stackShutDown) { try await connected.get() }
                await near.until(.removed)
                #expect(near.events == [.registered, .unregistered, .removed])
                return
            }
            let server = try await site.listen { channel in
                _ = channel.setOption(.allowRemoteHalfClosure, value: true)
                return site.adding(far)(channel)
            }
            let channel = try await client.connect(to: site.farAddress(UInt16(#require(server.localAddress?.port))))
                .get()
            await far.until(.active)
            var waiting: EventLoopFuture<Void>?
            switch doing {
            case .connecting, .nothing, .waitingForAReader: break
            case .writing:
                waiting = channel.write(ByteBuffer(string: "never flushed"))
            case .outputClosed:
                try await channel.close(mode: .output).get()
                await far.until(.inputClosed)
            case .inputClosed:
                await near.until(.inputClosed)
            case .bothWaiting:
                waiting = channel.write(ByteBuffer(string: "never flushed"))
                channel.close(mode: .output, promise: nil)
            }
            await stack.shutdown()
            try await channel.closeFuture.get()
            if let waiting {
                await #expect(throws: NetstackError.stackShutDown) { try await waiting.get() }
            }
            await near.until(.removed)
            #expect(near.errors.map { $0 as? NetstackError } == [.stackShutDown])
            #expect(near.events.suffix(4) == [.error, .inactive, .unregistered, .removed])
            #expect(near.broken == [])
            await far.until(.removed)
            try await server.close().get()
        }
    }

    @Test func aStackShutDownClosesItsListenersAndSockets() async throws {
        try await Site.run { site in
            let server = try await site.listen { $0.eventLoop.makeSucceededVoidFuture() }
            let idle = try await site.listen(autoRead: false) { $0.eventLoop.makeSucceededVoidFuture() }
            let socket = try await NetstackDatagramBootstrap(stack: site.pair.far).bind(to: site.farAddress(0)).get()
            site.living.add(socket)
            let near = Bytes()
            _ = try await site.client(near).connect(to: site.farAddress(UInt16(#require(idle.localAddress?.port))))
                .get()
            await site.pair.far.shutdown()
            for channel in [server, idle, socket] {
                try await channel.closeFuture.get()
                #expect(!channel.isActive)
            }
            await near.until(.removed)
            await #expect(throws: NetstackError.stackShutDown) {
                try await NetstackServerBootstrap(stack: site.pair.far).bind(to: site.farAddress(0)).get()
            }
            await #expect(throws: NetstackError.stackShutDown) {
                try await NetstackDatagramBootstrap(stack: site.pair.far).bind(to: site.farAddress(0)).get()
            }
        }
    }

    @Test(.enabled(if: ChildProcess.isInstalled("openssl")))
    func aLinkGoneDuringATLSHandshakeEndsBothChannels() async throws {
        try await TLSIdentity.with { identity in
            try await Site.run { site in
                let near = Bytes()
                let far = Bytes { event, _ in
                    // The client's first message is there; its answer will never be.
                    if event == .read { Task { try await site.pair.near.removeNIC(1) } }
                }
                let server = try await site.listen(children: site.adding(far))
                let client = site.client(near).channelInitializer { channel in
                    site.living.add(channel)
                    return channel.eventLoop.makeCompletedFuture {
                        let tls = try NIOSSLClientHandler(
                            context: identity.clientContext(), serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandlers(tls, near)
                    }
                }
                _ = try await client.connect(to: site.farAddress(UInt16(#require(server.localAddress?.port)))).get()
                await near.until(.removed)
                await far.until(.removed)
                #expect(near.errors.contains { if case NetstackError.linkDown = $0 { true } else { false } })
                try await server.close().get()
            }
        }
    }

    @Test func aThousandConnectionsOpenedAndDroppedLeaveNothing() async throws {
        try await Site.run { site in
            let server = try await site.listen(children: { site.adding(Bytes())($0) })
            let address = try site.farAddress(UInt16(#require(server.localAddress?.port)))
            for round in 0..<20 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            let channel = try await site.client().connect(to: address).get()
                            if (round + number) % 2 == 0 { try await channel.resetOnClose() }
                            if number % 3 == 0 { channel.writeAndFlush(pattern(100_000), promise: nil) }
                            channel.close(promise: nil)
                            try await channel.closeFuture.get()
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await server.close().get()
        }
    }

    @Test func aMessageOfAnotherTypeFailsItsWrite() async throws {
        try await Site.run { site in
            let far = Bytes()
            let server = try await site.listen(children: site.adding(far))
            let address = try site.farAddress(UInt16(#require(server.localAddress?.port)))
            let channel = try await site.client().connect(to: address).get()
            await #expect(throws: ChannelError.operationUnsupported) { try await channel.writeAndFlush("text").get() }
            try await channel.write(text: "x").get()
            await far.until(text: "x")
            try await channel.close().get()
            try await server.close().get()
        }
    }
}
