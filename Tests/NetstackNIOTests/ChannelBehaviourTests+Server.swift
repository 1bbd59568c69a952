// Behaviours: channels that listen, and those that they accept.

import NIOConcurrencyHelpers
import NIOCore
import Testing

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func aListeningChannelIsActiveAtAPortOfItsOwn(_ transport: Transport) async throws {
        try await transport.run { network in
            let events = Recorder<any Channel>()
            let server = try await network.listen { $0.serverChannelInitializer(network.adding(events)) }
            #expect(server.isActive)
            #expect(try server.localAddress?.ipAddress == network.farAddress.ipAddress)
            #expect(server.localAddress?.port ?? 0 > 0)
            #expect(server.remoteAddress == nil)
            try await server.close().get()
            await events.until(.removed)
            #expect(events.allEvents == [.registered, .active, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aListeningChannelIsNeverWritable(_ transport: Transport) async throws {
        try await transport.run { network in
            let server = try await network.listen()
            #expect(!server.isWritable)
            await #expect(throws: ChannelError.operationUnsupported) { try await server.write(text: "x").get() }
            await #expect(throws: ChannelError.operationUnsupported) { try await server.close(mode: .output).get() }
            #expect(server.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func acceptedChannelsAreReadByTheirParent(_ transport: Transport) async throws {
        try await transport.run { network in
            let events = Recorder<any Channel>()
            let far = Bytes()
            let server = try await network.listen(far) { $0.serverChannelInitializer(network.adding(events)) }
            _ = try await network.connect(to: server)
            await far.until(.active)
            await events.until(.readComplete)
            #expect(events.events == [.registered, .active, .read])
            #expect(events.messages.first?.parent === server)
        }
    }

    @Test(arguments: Transport.allCases)
    func acceptedChannelsLiveLikeOthers(_ transport: Transport) async throws {
        try await transport.run { network in
            let far = Bytes()
            let server = try await network.listen {
                $0.childChannelOption(.maxMessagesPerRead, value: 3).childChannelInitializer { channel in
                    #expect(!channel.isActive)
                    let limit = channel.getOption(.maxMessagesPerRead).map { #expect($0 == 3) }
                    return limit.flatMap { network.adding(far)(channel) }.map { #expect(far.allEvents == []) }
                }
            }
            let near = try await network.connect(to: server)
            await far.until(.active)
            try await near.close().get()
            await far.until(.removed)
            #expect(far.events == [.registered, .active, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aFailingChildInitializerEndsTheChildAlone(_ transport: Transport) async throws {
        try await transport.run { network in
            let events = Recorder<any Channel>()
            let after = AfterAccept()
            let far = Bytes()
            let fails = NIOLockedValueBox(true)
            let server = try await network.listen {
                $0.serverChannelInitializer { channel in
                    let add = network.adding(events)(channel)
                    // Behind the handler that sets up children, which bootstraps add last.
                    channel.eventLoop.execute { try? channel.pipeline.syncOperations.addHandler(after) }
                    return add
                }.childChannelInitializer { channel in
                    let now = fails.withLockedValue { fails in
                        defer { fails = false }
                        return fails
                    }
                    return now ? channel.eventLoop.makeFailedFuture(Refusal()) : network.adding(far)(channel)
                }
            }
            let refused = try await network.connect(to: server)
            try await refused.closeFuture.get()
            let near = try await network.connect(to: server)
            await far.until(.active)
            #expect(near.isActive)
            #expect(server.isActive)
            #expect(after.errors.withLockedValue { $0.count } == 1)
        }
    }

    @Test(arguments: Transport.allCases)
    func aClosedListenerRefusesAndLeavesItsChildren(_ transport: Transport) async throws {
        try await transport.run { network in
            let far = Bytes()
            let server = try await network.listen(far)
            let address = try #require(server.localAddress)
            let near = try await network.connect(to: server)
            await far.until(.active)
            try await server.close().get()
            // A port of the kernel that is free again may be another test's by now.
            if transport == .stack {
                await #expect(throws: (any Error).self) { try await network.client.connect(to: address).get() }
            }
            try await near.write(text: "still here").get()
            await far.until(text: "still here")
        }
    }

    @Test(arguments: Transport.allCases)
    func withoutAutoReadNothingIsAcceptedUnasked(_ transport: Transport) async throws {
        try await transport.run { network in
            let far = Bytes()
            let server = try await network.listen(far) { $0.serverChannelOption(.autoRead, value: false) }
            let near = try await network.connect(to: server)
            try await near.write(text: "waiting").get()
            try await server.sync { _ in }
            #expect(far.allEvents == [])
            server.read()
            await far.until(text: "waiting")
        }
    }

    @Test(arguments: Transport.allCases)
    func aListenerClosedWithConnectionsThatWaitEndsThem(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let server = try await network.listen { $0.serverChannelOption(.autoRead, value: false) }
            _ = try await network.connect(to: server, near)
            try await server.close().get()
            await near.until(.removed)
            #expect(near.events.suffix(3) == [.inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aTakenPortIsNotBoundAgain(_ transport: Transport) async throws {
        try await transport.run { network in
            let server = try await network.listen()
            let events = Recorder<any Channel>()
            let second = try network.server.serverChannelInitializer(network.adding(events))
                .bind(to: #require(server.localAddress))
            await #expect(throws: (any Error).self) { try await second.get() }
            await events.until(.removed)
            #expect(events.allEvents == [.registered, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aFailingServerInitializerFailsTheBind(_ transport: Transport) async throws {
        try await transport.run { network in
            let bound = try network.server.serverChannelInitializer { channel in
                network.keep(channel)
                return channel.eventLoop.makeFailedFuture(Refusal())
            }.bind(to: network.farAddress)
            await #expect(throws: Refusal.self) { try await bound.get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func quiescingClosesAListener(_ transport: Transport) async throws {
        try await transport.run { network in
            let server = try await network.listen()
            try await server.sync { $0.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
            try await server.closeFuture.get()
        }
    }

    @Test(arguments: Transport.allCases)
    func aListenersOptionsAreWhatTheyWereSetTo(_ transport: Transport) async throws {
        try await transport.run { network in
            let server = try await network.listen {
                $0.serverChannelOption(.backlog, value: 17).serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .serverChannelOption(.maxMessagesPerRead, value: 8)
            }
            #expect(try await server.getOption(.backlog).get() == 17)
            #expect(try await server.getOption(.socketOption(.so_reuseaddr)).get() == 1)
            #expect(try await server.getOption(.maxMessagesPerRead).get() == 8)
        }
    }

    @Test(arguments: Transport.allCases)
    func manyConnectionsAreAccepted(_ transport: Transport) async throws {
        try await transport.run { network in
            let server = try await network.server.childChannelInitializer { channel in
                network.keep(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Greeting())
                }
            }.bind(to: network.farAddress).get()
            network.keep(server)
            for _ in 0..<100 {
                let near = Bytes()
                let channel = try await network.connect(to: server, near)
                await near.until(text: "hello")
                try await channel.close().get()
            }
        }
    }
}

/// Counts the errors that come to the end of a listening channel's pipeline.
private final class AfterAccept: ChannelInboundHandler, Sendable {
    typealias InboundIn = any Channel

    let errors = NIOLockedValueBox<[any Error]>([])

    func errorCaught(context: ChannelHandlerContext, error: any Error) { errors.withLockedValue { $0.append(error) } }
}

private final class Greeting: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        context.channel.writeAndFlush(ByteBuffer(string: "hello"), promise: nil)
    }
}
