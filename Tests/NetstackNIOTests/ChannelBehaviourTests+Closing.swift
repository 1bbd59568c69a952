// Behaviours: how a channel ends.

import NIOCore
import Netstack
import Testing

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func closingSucceedsThePromiseBeforeTheCloseFuture(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let order = Order()
            ends.near.closeFuture.whenSuccess { order.note("closed") }
            let promise = network.loop.makePromise(of: Void.self)
            promise.futureResult.whenSuccess { order.note("promise") }
            ends.near.close(promise: promise)
            try await ends.near.closeFuture.get()
            #expect(order.all == ["promise", "closed"])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingTwiceFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.close().get()
            await #expect(throws: ChannelError.alreadyClosed) { try await ends.near.close().get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func closingInChannelActiveEndsAChannelInOrder(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if event == .active { context.close(promise: nil) }
            }
            let listener = try await network.listen()
            _ = try await network.connect(to: listener, near)
            await near.until(.removed)
            #expect(near.events == [.registered, .active, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func nothingIsReadAfterClosingInChannelRead(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if event == .read { context.close(promise: nil) }
            }
            let ends = try await network.ends(near: near)
            ends.far.write(ByteBuffer(string: "a"), promise: nil)
            ends.far.writeAndFlush(ByteBuffer(string: "b"), promise: nil)
            await near.until(.removed)
            #expect(near.allEvents == [.registered, .active, .read, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingInReadCompleteEndsAChannelInOrder(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if event == .readComplete { context.close(promise: nil) }
            }
            let ends = try await network.ends(near: near)
            ends.far.writeAndFlush(ByteBuffer(string: "a"), promise: nil)
            await near.until(.removed)
            #expect(near.allEvents == [.registered, .active, .read, .readComplete, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingInChannelInactiveFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let order = Order()
            let near = Bytes { event, context in
                guard event == .inactive else { return }
                context.close().whenFailure { order.note("\($0)") }
            }
            let ends = try await network.ends(near: near)
            try await ends.far.close().get()
            try await ends.near.closeFuture.get()
            #expect(order.all == ["\(ChannelError.alreadyClosed)"])
        }
    }

    @Test(arguments: Transport.allCases)
    func writingInChannelInactiveFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let order = Order()
            let near = Bytes { event, context in
                guard event == .inactive else { return }
                context.channel.writeAndFlush(ByteBuffer(string: "x")).whenFailure { order.note("\($0)") }
            }
            let ends = try await network.ends(near: near)
            try await ends.near.close().get()
            try await ends.near.closeFuture.get()
            #expect(order.all == ["\(ChannelError.ioOnClosedChannel)"])
        }
    }

    @Test(arguments: Transport.allCases)
    func aClosedChannelTakesNothing(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.close().get()
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await ends.near.write(text: "x").get() }
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await ends.near.getOption(.autoRead).get() }
            await #expect(throws: ChannelError.ioOnClosedChannel) {
                try await ends.near.setOption(.autoRead, value: true).get()
            }
            try await ends.near.sync { channel in
                channel.read()
                channel.flush()
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func closingFailsTheWritesThatWait(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let order = Order()
            let waiting: EventLoopFuture<Void> = ends.near.write(ByteBuffer(string: "never flushed"))
            waiting.whenFailure { _ in order.note("write") }
            let promise = network.loop.makePromise(of: Void.self)
            promise.futureResult.whenSuccess { order.note("close") }
            ends.near.close(promise: promise)
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await waiting.get() }
            try await ends.near.closeFuture.get()
            #expect(order.all == ["write", "close"])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingInAWritesPromiseFailsTheOthers(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let second = try await ends.near.sync { channel in
                channel.write(ByteBuffer(string: "a")).whenSuccess { channel.close(promise: nil) }
                let second: EventLoopFuture<Void> = channel.write(ByteBuffer(string: "b"))
                channel.close(promise: nil)
                channel.flush()
                return second
            }
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await second.get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func whatWasWrittenBeforeTheCloseArrives(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { channel in
                channel.writeAndFlush(ByteBuffer(string: "last words"), promise: nil)
                channel.close(promise: nil)
            }
            try await ends.far.closeFuture.get()
            #expect(ends.farEvents.text == "last words")
        }
    }

    @Test(arguments: Transport.allCases)
    func thePeersEndIsNoError(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            ends.far.writeAndFlush(ByteBuffer(string: "bye"), promise: nil)
            try await ends.far.close().get()
            await ends.nearEvents.until(.removed)
            #expect(ends.nearEvents.events == [.registered, .active, .read, .inactive, .unregistered, .removed])
            #expect(ends.nearEvents.text == "bye")
            #expect(ends.nearEvents.allEvents.last { $0 == .read || $0 == .readComplete } == .readComplete)
        }
    }

    @Test(arguments: Transport.allCases)
    func thePeersEndIsSeenWithoutReading(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: { $0.channelOption(.autoRead, value: false) })
            ends.far.writeAndFlush(ByteBuffer(string: "unasked"), promise: nil)
            try await ends.far.close().get()
            try await ends.near.closeFuture.get()
            #expect(ends.nearEvents.text == "unasked")
            #expect(ends.nearEvents.events == [.registered, .active, .read, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func thePeersResetIsAnError(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.far.resetOnClose()
            try await ends.far.close().get()
            await ends.nearEvents.until(.removed)
            #expect(ends.nearEvents.events == [.registered, .active, .error, .inactive, .unregistered, .removed])
            #expect(ends.nearEvents.errors.count == 1)
            if transport == .stack {
                #expect(ends.nearEvents.errors.first as? NetstackError == .connectionReset)
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func theResetOfAPeerFailsTheWritesThatWait(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let waiting: EventLoopFuture<Void> = ends.near.write(ByteBuffer(string: "never flushed"))
            try await ends.far.resetOnClose()
            try await ends.far.close().get()
            let error = await #expect(throws: (any Error).self) { try await waiting.get() }
            if transport == .stack { #expect(error as? NetstackError == .connectionReset) }
        }
    }

    @Test(arguments: Transport.allCases)
    func thePeersEndFailsTheWritesThatWait(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let waiting: EventLoopFuture<Void> = ends.near.write(ByteBuffer(string: "never flushed"))
            try await ends.far.close().get()
            await #expect(throws: ChannelError.eof) { try await waiting.get() }
        }
    }
}
