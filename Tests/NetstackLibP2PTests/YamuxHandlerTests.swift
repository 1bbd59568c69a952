// The multiplexer in a pipeline by itself: how it ends a session.

import NIOCore
import NIOEmbedded
import NetstackLibP2P
import Testing

struct YamuxHandlerTests {
    /// A session's handler in a channel of its own, and its first ping taken.
    private func withHandler(_ body: (EmbeddedChannel, YamuxHandler) throws -> Void) throws {
        let channel = EmbeddedChannel()
        let handler = YamuxHandler(
            .server, limits: YamuxLimits(), on: channel.eventLoop, refused: { _ in },
            accept: { $0.eventLoop.makeSucceededVoidFuture() })
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        channel.embeddedEventLoop.run()
        try #expect(sent(channel) == [YamuxFrame(.ping, .syn, length: 1)])
        try body(channel, handler)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    private func sent(_ channel: EmbeddedChannel) throws -> [YamuxFrame] {
        var frames: [YamuxFrame] = []
        while var bytes = try channel.readOutbound(as: ByteBuffer.self) {
            while let frame = try YamuxFrame(parsing: &bytes) {
                frames.append(frame)
                if frame.kind == .data { bytes.moveReaderIndex(forwardBy: Int(frame.length)) }
            }
        }
        return frames
    }

    @Test func aPeerThatBreaksTheRulesIsToldAndCutOff() throws {
        try withHandler { channel, _ in
            var frame = ByteBuffer()
            YamuxFrame(.windowUpdate, .syn, streamID: 2).write(to: &frame)
            // Its own numbers are odd.
            #expect(throws: LibP2PError.self) { try channel.writeInbound(frame) }
            try #expect(sent(channel) == [YamuxFrame(.goAway, length: YamuxSession.Code.protocolError)])
            channel.embeddedEventLoop.run()
            #expect(!channel.isActive)
        }
    }

    @Test func streamsThatWriteAtOnceTakeTurns() throws {
        try withHandler { channel, handler in
            var streams: [any Channel] = []
            for _ in 0..<4 {
                _ = handler.openStream { stream in
                    streams.append(stream)
                    return stream.eventLoop.makeSucceededVoidFuture()
                }
            }
            channel.embeddedEventLoop.run()
            _ = try sent(channel)
            // All have more than two frames to send before the first may.
            channel.isWritable = false
            channel.pipeline.fireChannelWritabilityChanged()
            let bytes = ByteBuffer(repeating: 1, count: 200_000)
            for stream in streams { stream.writeAndFlush(bytes, promise: nil) }
            channel.isWritable = true
            channel.pipeline.fireChannelWritabilityChanged()
            channel.embeddedEventLoop.run()

            let frames = try sent(channel)
            #expect(frames.count > 8)
            for (place, frame) in frames.enumerated() { #expect(frame.streamID == [2, 4, 6, 8][place % 4]) }
            #expect(frames.reduce(0) { $0 + Int($1.length) } == 4 * bytes.readableBytes)
        }
    }

    @Test func anEndInGoodOrderIsSaidSo() throws {
        try withHandler { channel, handler in
            handler.goAway()
            try #expect(sent(channel) == [YamuxFrame(.goAway, length: YamuxSession.Code.normal)])
        }
    }

    @Test func anEndWithoutAWordIsThePeers() throws {
        try withHandler { channel, handler in
            let ping = handler.ping()
            channel.pipeline.fireChannelInactive()
            #expect(throws: LibP2PError.disconnected) { try ping.wait() }
        }
    }

    @Test func aPeerThatAnswersNoPingIsGivenUp() throws {
        try withHandler { channel, handler in
            let asked = handler.ping()
            try #expect(sent(channel) == [])
            channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive)
            try #expect(sent(channel) == [2, 3].map { YamuxFrame(.ping, .syn, length: $0) })
            channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive - .nanoseconds(1))
            #expect(channel.isActive)
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            #expect(!channel.isActive)
            let error = LibP2PError.timedOut(what: "an answer to a ping")
            #expect(throws: error) { try channel.throwIfErrorCaught() }
            #expect(throws: error) { try asked.wait() }
            #expect(throws: error) { try handler.openStream { $0.eventLoop.makeSucceededVoidFuture() }.wait() }
        }
    }

    @Test func aPeerWhoseDataKeepAnAnswerWaitingIsKeptUntilTheyEnd() throws {
        try withHandler { channel, _ in
            channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive)
            try #expect(sent(channel) == [YamuxFrame(.ping, .syn, length: 2)])
            for _ in 0..<50 {
                channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive - .nanoseconds(1))
                // A part of a frame is enough.
                channel.pipeline.fireChannelReadComplete()
            }
            channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive - .nanoseconds(1))
            #expect(channel.isActive)
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            #expect(!channel.isActive)
            #expect(throws: LibP2PError.timedOut(what: "an answer to a ping")) { try channel.throwIfErrorCaught() }
        }
    }

    @Test func aPeerThatAnswersPingsIsKept() throws {
        try withHandler { channel, _ in
            for number in 2..<50 as Range<UInt32> {
                channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive)
                try #expect(sent(channel) == [YamuxFrame(.ping, .syn, length: number)])
                channel.embeddedEventLoop.advanceTime(by: YamuxHandler.keepAlive - .nanoseconds(1))
                var answer = ByteBuffer()
                YamuxFrame(.ping, .ack, length: number).write(to: &answer)
                channel.pipeline.fireChannelRead(answer)
                channel.pipeline.fireChannelReadComplete()
            }
            #expect(channel.isActive)
        }
    }
}
