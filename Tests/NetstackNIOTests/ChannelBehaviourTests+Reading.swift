// Behaviours: what a channel reads, and when.

import NIOCore
import TestSupport
import Testing

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func readCompleteFollowsTheReads(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.far.write(text: "x").get()
            await ends.nearEvents.until(.readComplete)
            #expect(ends.nearEvents.allEvents == [.registered, .active, .read, .readComplete])
        }
    }

    @Test(arguments: Transport.allCases)
    func withoutAutoReadNothingIsReadUnasked(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: { $0.channelOption(.autoRead, value: false) })
            try await ends.far.write(text: "one").get()
            // An answer comes after what was sent before it has arrived.
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            #expect(ends.nearEvents.text == "")
            ends.near.read()
            await ends.nearEvents.until(text: "one")
            try await ends.far.write(text: "two").get()
            try await ends.near.write(text: "y").get()
            await ends.farEvents.until(text: "xy")
            #expect(ends.nearEvents.text == "one")
            ends.near.read()
            await ends.nearEvents.until(text: "onetwo")
        }
    }

    @Test(arguments: Transport.allCases)
    func aReadAskedForEarlyWaitsForBytes(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: { $0.channelOption(.autoRead, value: false) })
            try await ends.near.sync { $0.read() }
            try await ends.far.write(text: "one").get()
            await ends.nearEvents.until(text: "one")
        }
    }

    @Test(arguments: Transport.allCases)
    func turningAutoReadOnReads(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: { $0.channelOption(.autoRead, value: false) })
            try await ends.far.write(text: "one").get()
            try await ends.near.setOption(.autoRead, value: true).get()
            await ends.nearEvents.until(text: "one")
            try await ends.far.write(text: "two").get()
            await ends.nearEvents.until(text: "onetwo")
        }
    }

    @Test(arguments: Transport.allCases)
    func turningAutoReadOffInChannelReadStops(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if event == .read {
                    context.channel.setOption(.autoRead, value: false).whenFailure { Issue.record($0) }
                }
            }
            let ends = try await network.ends(near: near)
            try await ends.far.write(text: "one").get()
            await near.until(.readComplete)
            try await ends.far.write(text: "two").get()
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            #expect(near.text == "one")
            ends.near.read()
            await near.until(text: "onetwo")
        }
    }

    @Test(arguments: Transport.allCases)
    func turningAutoReadOffTakesBackTheReadThatWaits(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.setOption(.autoRead, value: false).get()
            try await ends.far.write(text: "one").get()
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            #expect(ends.nearEvents.text == "")
        }
    }

    /// The recorder reports an event of reading that comes in the middle of another.
    @Test(arguments: Transport.allCases)
    func readingInAHandlerDoesNotReenterIt(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if [.active, .read, .readComplete].contains(event) {
                    context.read()
                    context.channel.writeAndFlush(ByteBuffer(string: "."), promise: nil)
                    context.read()
                }
            }
            let far = Bytes { event, context in
                if event == .read { context.channel.writeAndFlush(ByteBuffer(string: "!"), promise: nil) }
                if event == .read { context.read() }
            }
            _ = try await network.ends(near: near, far: far)
            await near.until { $0.messages.count > 50 }
            await far.until { $0.messages.count > 50 }
        }
    }

    @Test(arguments: Transport.allCases)
    func aReadIsNoLongerThanTheAllocatorSays(_ transport: Transport) async throws {
        try await transport.run { network in
            let allocator = FixedSizeRecvByteBufferAllocator(capacity: 16)
            let ends = try await network.ends(client: { $0.channelOption(.recvAllocator, value: allocator) })
            let bytes = pattern(1000)
            try await ends.far.writeAndFlush(bytes).get()
            await ends.nearEvents.until(count: 1000)
            #expect(ends.nearEvents.bytes == bytes)
            #expect(ends.nearEvents.messages.allSatisfy { $0.readableBytes <= 16 })
        }
    }

    @Test(arguments: Transport.allCases)
    func maxMessagesPerReadBoundsAReadAskedFor(_ transport: Transport) async throws {
        try await transport.run { network in
            let allocator = FixedSizeRecvByteBufferAllocator(capacity: 16)
            let ends = try await network.ends(client: {
                $0.channelOption(.recvAllocator, value: allocator).channelOption(.maxMessagesPerRead, value: 2)
                    .channelOption(.autoRead, value: false)
            })
            try await ends.far.writeAndFlush(pattern(1000)).get()
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            ends.near.read()
            await ends.nearEvents.until(.readComplete)
            #expect(ends.nearEvents.allEvents == [.registered, .active, .read, .read, .readComplete])
        }
    }

    @Test(arguments: Transport.allCases)
    func megabytesCrossBothWaysAtOnce(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let bytes = pattern(4 << 20)
            let sent = [ends.near, ends.far].map { $0.writeAndFlush(bytes) }
            await ends.nearEvents.until(count: bytes.readableBytes)
            await ends.farEvents.until(count: bytes.readableBytes)
            for write in sent { try await write.get() }
            #expect(ends.nearEvents.bytes == bytes)
            #expect(ends.farEvents.bytes == bytes)
        }
    }

    @Test(arguments: Transport.allCases)
    func aReaderThatDoesNotReadHoldsUpTheWriter(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: { $0.channelOption(.autoRead, value: false) })
            // More than the buffers of both ends hold.
            let bytes = pattern(16 << 20)
            let order = Order()
            let written: EventLoopFuture<Void> = ends.far.writeAndFlush(bytes)
            written.whenSuccess { order.note("written") }
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            order.note("reading")
            #expect(!ends.far.isWritable)
            try await ends.near.setOption(.autoRead, value: true).get()
            try await written.get()
            await ends.nearEvents.until(count: bytes.readableBytes)
            #expect(order.all == ["reading", "written"])
        }
    }
}
