// Behaviours: writes, flushes, their promises, and writability.

import NIOCore
import NIOConcurrencyHelpers
import TestSupport
import Testing

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func writesWaitForAFlush(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let order = Order()
            try await ends.near.sync { channel in
                channel.write(ByteBuffer(string: "a")).whenSuccess { order.note("a") }
                channel.write(ByteBuffer(string: "b")).whenSuccess { order.note("b") }
                order.note("flush")
                channel.flush()
            }
            await ends.farEvents.until(text: "ab")
            #expect(order.all == ["flush", "a", "b"])
        }
    }

    @Test(arguments: Transport.allCases)
    func aFlushIsForTheWritesBeforeIt(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let order = Order()
            try await ends.near.sync { channel in
                channel.write(ByteBuffer(string: "a")).whenSuccess { order.note("a") }
                channel.flush()
                channel.write(ByteBuffer(string: "b")).whenSuccess { order.note("b") }
                try #expect(channel.option(.bufferedWritableBytes) == 1)
            }
            await ends.farEvents.until(text: "a")
            #expect(order.all == ["a"])
            ends.near.flush()
            await ends.farEvents.until(text: "ab")
        }
    }

    @Test(arguments: Transport.allCases)
    func anEmptyWriteSucceeds(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.writeAndFlush(ByteBuffer()).get()
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
        }
    }

    @Test(arguments: Transport.allCases)
    func dataOfAnyFormOfBytesIsWritten(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.writeAndFlush(IOData.byteBuffer(ByteBuffer(string: "x"))).get()
            await ends.farEvents.until(text: "x")
        }
    }

    @Test(arguments: Transport.allCases)
    func writingInChannelActiveIsEarlyEnough(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes { event, context in
                if event == .active { context.channel.writeAndFlush(ByteBuffer(string: "hello"), promise: nil) }
            }
            let ends = try await network.ends(near: near)
            await ends.farEvents.until(text: "hello")
        }
    }

    @Test(arguments: Transport.allCases)
    func whatIsFlushedBeforeTheChannelIsActiveIsWrittenThen(_ transport: Transport) async throws {
        try await transport.run { network in
            let order = Order()
            let near = Bytes { event, context in
                if event == .registered {
                    context.channel.writeAndFlush(ByteBuffer(string: "early")).whenSuccess { order.note("written") }
                }
                if event == .active { order.note("active") }
            }
            let ends = try await network.ends(near: near)
            await ends.farEvents.until(text: "early")
            #expect(order.all == ["active", "written"])
        }
    }

    @Test(arguments: Transport.allCases)
    func writesInAPromiseAreInOrder(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { channel in
                channel.write(ByteBuffer(string: "a")).whenSuccess {
                    channel.writeAndFlush(ByteBuffer(string: "c"), promise: nil)
                }
                channel.writeAndFlush(ByteBuffer(string: "b"), promise: nil)
            }
            await ends.farEvents.until(text: "abc")
        }
    }

    @Test(arguments: Transport.allCases)
    func manySmallWritesArriveInOrder(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { channel in
                for index in 0..<5000 { channel.write(pattern(7, from: index * 7), promise: nil) }
                channel.flush()
            }
            await ends.farEvents.until(count: 35000)
            #expect(ends.farEvents.bytes == pattern(35000))
        }
    }

    @Test(arguments: Transport.allCases)
    func writesOfOtherThreadsArrive(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { try await ends.near.write(text: "0123456789").get() } }
                try await group.waitForAll()
            }
            await ends.farEvents.until(count: 200)
            #expect(ends.farEvents.text == String(repeating: "0123456789", count: 20))
        }
    }

    // MARK: Writability

    @Test(arguments: Transport.allCases)
    func aChannelIsUnwritableAboveItsWaterMark(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: {
                $0.channelOption(.writeBufferWaterMark, value: .init(low: 4, high: 8))
            })
            #expect(ends.near.isWritable)
            try await ends.near.sync { channel in
                channel.write(ByteBuffer(repeating: 0, count: 8), promise: nil)
                #expect(channel.isWritable)
                channel.write(ByteBuffer(repeating: 0, count: 1), promise: nil)
                #expect(!channel.isWritable)
                channel.write(ByteBuffer(repeating: 0, count: 1), promise: nil)
                #expect(ends.nearEvents.events == [.registered, .active, .unwritable])
                channel.flush()
                #expect(channel.isWritable)
            }
            #expect(ends.nearEvents.events == [.registered, .active, .unwritable, .writable])
        }
    }

    @Test(arguments: Transport.allCases)
    func newWaterMarksCountFromTheNextWrite(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { channel in
                channel.write(ByteBuffer(repeating: 0, count: 100), promise: nil)
                try channel.setOptionNow(.writeBufferWaterMark, .init(low: 1, high: 10))
                #expect(channel.isWritable)
                channel.write(ByteBuffer(repeating: 0, count: 1), promise: nil)
                #expect(!channel.isWritable)
                try channel.setOptionNow(.writeBufferWaterMark, .init(low: 1000, high: 2000))
                #expect(!channel.isWritable)
                channel.flush()
                #expect(channel.isWritable)
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func aChannelThatHasWaitedIsWritableAgain(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let written: EventLoopFuture<Void> = ends.near.writeAndFlush(pattern(16 << 20))
            await ends.nearEvents.until(.writable)
            try await written.get()
            #expect(ends.nearEvents.events == [.registered, .active, .unwritable, .writable])
            await ends.farEvents.until(count: 16 << 20)
        }
    }

    @Test(arguments: Transport.allCases)
    func writingWheneverThereIsRoomMovesMegabytes(_ transport: Transport) async throws {
        try await transport.run { network in
            let written = NIOLockedValueBox(0)
            @Sendable func fill(_ channel: any Channel) {
                while channel.isWritable, written.withLockedValue({ $0 < 8 << 20 }) {
                    let offset = written.withLockedValue { count in
                        defer { count += 10000 }
                        return count
                    }
                    channel.write(pattern(10000, from: offset), promise: nil)
                }
                channel.flush()
            }
            let near = Bytes { event, context in
                if event == .active || event == .writable { fill(context.channel) }
            }
            let ends = try await network.ends(near: near)
            await ends.farEvents.until(count: 8 << 20)
            let bytes = ends.farEvents.bytes
            #expect(bytes == pattern(bytes.readableBytes))
        }
    }

    @Test(arguments: Transport.allCases)
    func bufferedBytesAreThoseThatWait(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.sync { channel in
                try #expect(channel.option(.bufferedWritableBytes) == 0)
                channel.write(ByteBuffer(repeating: 0, count: 8), promise: nil)
                try #expect(channel.option(.bufferedWritableBytes) == 8)
                channel.flush()
                try #expect(channel.option(.bufferedWritableBytes) == 0)
            }
        }
    }
}
