// How channels behave: each behaviour is written once, and holds for NIO's over the kernel's sockets and for ours.

import NIOCore
import Netstack
import Testing

/// The behaviours of a channel's life; the extensions have the others.
@Suite(.timeLimit(.minutes(5))) struct ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func lifeGoesFromRegisteredToUnregistered(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.close().get()
            try await ends.far.closeFuture.get()
            let life: [Event] = [.registered, .active, .inactive, .unregistered, .removed]
            await ends.nearEvents.until(.removed)
            await ends.farEvents.until(.removed)
            #expect(ends.nearEvents.events == life)
            #expect(ends.farEvents.events == life)
        }
    }

    @Test(arguments: Transport.allCases)
    func isActiveFollowsTheEvents(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if [.registered, .active, .inactive].contains(event) {
                    #expect(context.channel.isActive == (event == .active))
                }
            }
            let ends = try await network.ends(near: near)
            #expect(ends.near.isActive)
            try await ends.near.close().get()
            #expect(!ends.near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func bothEndsKnowTheSameAddresses(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            #expect(ends.near.localAddress != nil)
            #expect(ends.near.localAddress == ends.far.remoteAddress)
            #expect(ends.near.remoteAddress == ends.far.localAddress)
            #expect(try ends.near.remoteAddress?.ipAddress == network.farAddress.ipAddress)
        }
    }

    @Test(arguments: Transport.allCases)
    func addressesAreKnownFromActiveToInactive(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if [.active, .inactive].contains(event) {
                    #expect(context.channel.localAddress?.port != nil)
                    #expect(context.channel.remoteAddress?.port != nil)
                }
            }
            let ends = try await network.ends(near: near)
            try await ends.near.close().get()
            await near.until(.removed)
            try await ends.near.sync { _ in }
            #expect(ends.near.localAddress == nil)
            #expect(ends.near.remoteAddress == nil)
        }
    }

    @Test(arguments: Transport.allCases)
    func handlersAreThereBeforeRegistration(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let listener = try await network.listen()
            let add = network.adding(near)
            let channel = try await network.client.channelInitializer { channel in
                #expect(!channel.isActive)
                #expect(channel.remoteAddress == nil)
                return add(channel).map { #expect(near.allEvents == []) }
            }.connect(to: #require(listener.localAddress)).get()
            await near.until(.active)
            #expect(near.allEvents == [.registered, .active])
            try await channel.close().get()
        }
    }

    @Test(arguments: Transport.allCases)
    func optionsAreSetBeforeTheInitializer(_ transport: Transport) async throws {
        try await transport.run { network in
            let listener = try await network.listen()
            let client = network.client.channelOption(.maxMessagesPerRead, value: 7).channelInitializer { channel in
                network.keep(channel)
                return channel.getOption(.maxMessagesPerRead).map { #expect($0 == 7) }
            }
            _ = try await client.connect(to: #require(listener.localAddress)).get()
        }
    }

    @Test(arguments: Transport.allCases)
    func aFailingInitializerFailsTheConnect(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let listener = try await network.listen()
            let add = network.adding(near)
            let connected = try network.client.channelInitializer { channel in
                add(channel).flatMapThrowing { throw Refusal() }
            }.connect(to: #require(listener.localAddress))
            await #expect(throws: Refusal.self) { try await connected.get() }
            await near.until(.removed)
            #expect(near.allEvents == [.removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aRefusedConnectFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let address = try network.closedAddress()
            let connected = network.client.channelInitializer(network.adding(near)).connect(to: address)
            let error = await #expect(throws: (any Error).self) { try await connected.get() }
            await near.until(.removed)
            #expect(near.allEvents == [.registered, .unregistered, .removed])
            if transport == .stack {
                #expect(try error as? NetstackError == .refused(#require(TransportAddress(address))))
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func aConnectWithoutAnAnswerTimesOut(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let address = try network.silentAddress()
            let connected = network.client.channelInitializer(network.adding(near))
                .connectTimeout(.milliseconds(50)).connect(to: address)
            let error = await #expect(throws: (any Error).self) { try await connected.get() }
            await near.until(.removed)
            #expect(near.allEvents == [.registered, .unregistered, .removed])
            switch transport {
            case .kernel: #expect(error as? ChannelError == .connectTimeout(.milliseconds(50)))
            case .stack: #expect(try error as? NetstackError == .timedOut(#require(TransportAddress(address))))
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func closingWhileConnectingFailsTheConnect(_ transport: Transport) async throws {
        try await transport.run { network in
            let address = try network.silentAddress()
            let near = Bytes { event, context in
                // After the connect that follows registration.
                if event == .registered {
                    let channel = context.channel
                    context.eventLoop.execute { channel.close(promise: nil) }
                }
            }
            let connected = network.client.channelInitializer(network.adding(near)).connect(to: address)
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await connected.get() }
            await near.until(.removed)
            #expect(near.allEvents == [.registered, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func aClientMayChooseItsAddress(_ transport: Transport) async throws {
        try await transport.run { network in
            let address = try network.nearAddress
            let ends = try await network.ends(client: { $0.bind(to: address) })
            #expect(ends.far.remoteAddress?.ipAddress == address.ipAddress)
            #expect(ends.near.localAddress == ends.far.remoteAddress)
        }
    }

    @Test(arguments: Transport.allCases)
    func aClosedChannelConnectsNoMore(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let address = try #require(ends.near.remoteAddress)
            try await ends.near.close().get()
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await ends.near.connect(to: address).get() }
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await ends.near.register().get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func aChannelRegistersOnce(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            await #expect(throws: ChannelError.inappropriateOperationForState) { try await ends.near.register().get() }
            #expect(ends.near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func userEventsPassThroughThePipeline(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { $0.pipeline.fireUserInboundEventTriggered("hello") }
            #expect(ends.nearEvents.events.contains(.user("hello")))
            await #expect(throws: ChannelError.operationUnsupported) {
                try await ends.near.triggerUserOutboundEvent("unknown").get()
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func aRemovedHandlerHearsNothing(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let later = Bytes()
            try await ends.near.pipeline.addHandler(later).get()
            try await ends.near.pipeline.removeHandler(ends.nearEvents).get()
            ends.far.write(text: "x").whenFailure { _ in }
            await later.until(text: "x")
            #expect(ends.nearEvents.text == "")
        }
    }
}

struct Refusal: Error {}
