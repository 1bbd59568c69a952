// Behaviours: channels that close one direction.

import NIOCore
import TestSupport
import Testing

private let allowing: @Sendable (any TCPClient) -> any TCPClient = {
    $0.channelOption(.allowRemoteHalfClosure, value: true)
}
private let allowingChildren: @Sendable (any TCPServer) -> any TCPServer = {
    $0.childChannelOption(.allowRemoteHalfClosure, value: true)
}

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func afterItsOutputIsClosedAChannelReadsOn(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            ends.near.write(ByteBuffer(string: "question"), promise: nil)
            ends.near.flush()
            try await ends.near.close(mode: .output).get()
            await ends.farEvents.until(.inputClosed)
            #expect(ends.farEvents.text == "question")
            try await ends.far.write(text: "answer").get()
            await ends.nearEvents.until(text: "answer")
            #expect(ends.near.isActive)
            #expect(ends.far.isActive)
            #expect(ends.nearEvents.events == [.registered, .active, .outputClosed, .read])
            #expect(ends.farEvents.events == [.registered, .active, .read, .inputClosed])
        }
    }

    @Test(arguments: Transport.allCases)
    func withoutLeaveThePeersHalfCloseIsTheEnd(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.close(mode: .output).get()
            try await ends.far.closeFuture.get()
            try await ends.near.closeFuture.get()
            #expect(ends.farEvents.events == [.registered, .active, .inactive, .unregistered, .removed])
            #expect(
                ends.nearEvents.events == [.registered, .active, .outputClosed, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingTheOutputTwiceFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            try await ends.near.close(mode: .output).get()
            await #expect(throws: ChannelError.outputClosed) { try await ends.near.close(mode: .output).get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func writesAfterTheOutputIsClosedFail(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            try await ends.near.close(mode: .output).get()
            await #expect(throws: ChannelError.outputClosed) { try await ends.near.write(text: "more").get() }
            #expect(ends.near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func closingTheOutputWaitsForWhatIsFlushed(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            let bytes = pattern(8 << 20)
            let written: EventLoopFuture<Void> = ends.near.writeAndFlush(bytes)
            let order = Order()
            written.whenSuccess { order.note("written") }
            let closed: EventLoopFuture<Void> = ends.near.close(mode: .output)
            closed.whenSuccess { order.note("closed") }
            await ends.farEvents.until(.inputClosed)
            try await closed.get()
            #expect(order.all == ["written", "closed"])
            #expect(ends.farEvents.bytes == bytes)
        }
    }

    @Test(arguments: Transport.allCases)
    func closingTheOutputWaitsForAFlush(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            let order = Order()
            ends.near.write(ByteBuffer(string: "late")).whenSuccess { order.note("written") }
            let closed: EventLoopFuture<Void> = ends.near.close(mode: .output)
            closed.whenSuccess { order.note("closed") }
            try await ends.near.sync { channel in
                order.note("flush")
                channel.flush()
            }
            try await closed.get()
            await ends.farEvents.until(.inputClosed)
            #expect(order.all == ["flush", "written", "closed"])
            #expect(ends.farEvents.text == "late")
        }
    }

    @Test(arguments: Transport.allCases)
    func twoClosesOfTheOutputThatWaitSucceedTogether(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            ends.near.write(ByteBuffer(string: "x"), promise: nil)
            let first: EventLoopFuture<Void> = ends.near.close(mode: .output)
            let second: EventLoopFuture<Void> = ends.near.close(mode: .output)
            ends.near.flush()
            try await first.get()
            try await second.get()
        }
    }

    @Test(arguments: Transport.allCases)
    func closingFailsACloseOfTheOutputThatWaits(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            ends.near.write(ByteBuffer(string: "never flushed"), promise: nil)
            let half: EventLoopFuture<Void> = ends.near.close(mode: .output)
            try await ends.near.close().get()
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await half.get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func withBothHalvesClosedAChannelIsClosed(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: allowing, server: allowingChildren)
            try await ends.near.close(mode: .output).get()
            await ends.farEvents.until(.inputClosed)
            try await ends.far.close(mode: .output).get()
            try await ends.near.closeFuture.get()
            try await ends.far.closeFuture.get()
            #expect(
                ends.nearEvents.events == [.registered, .active, .outputClosed, .inactive, .unregistered, .removed])
            #expect(
                ends.farEvents.events == [.registered, .active, .inputClosed, .inactive, .unregistered, .removed])
        }
    }

    @Test(arguments: Transport.allCases)
    func afterThePeersHalfCloseItsBytesAreAllThere(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(
                server: { allowingChildren($0).childChannelOption(.autoRead, value: false) })
            ends.near.writeAndFlush(ByteBuffer(string: "unasked"), promise: nil)
            try await ends.near.close(mode: .output).get()
            await ends.farEvents.until(.inputClosed)
            #expect(ends.farEvents.text == "unasked")
            #expect(ends.far.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func readingAfterThePeersHalfCloseDoesNothing(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(server: allowingChildren)
            try await ends.near.close(mode: .output).get()
            await ends.farEvents.until(.inputClosed)
            ends.far.read()
            try await ends.far.write(text: "still here").get()
            await ends.nearEvents.until(text: "still here")
            #expect(ends.farEvents.events == [.registered, .active, .inputClosed])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingTheInputIsToldOnce(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: allowing)
            try await ends.near.close(mode: .input).get()
            await #expect(throws: ChannelError.inputClosed) { try await ends.near.close(mode: .input).get() }
            try await ends.near.write(text: "still writing").get()
            await ends.farEvents.until(text: "still writing")
            #expect(ends.nearEvents.events == [.registered, .active, .inputClosed])
        }
    }

    @Test(arguments: Transport.allCases)
    func nothingIsReadAfterTheInputIsClosed(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(client: allowing)
            try await ends.near.close(mode: .input).get()
            try await ends.far.write(text: "unheard").get()
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
            #expect(ends.nearEvents.text == "")
            try await ends.near.close(mode: .output).get()
            try await ends.near.closeFuture.get()
            #expect(ends.nearEvents.text == "")
        }
    }

    @Test(arguments: Transport.allCases)
    func withoutLeaveClosingTheInputIsTheEnd(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            try await ends.near.close(mode: .input).get()
            try await ends.near.closeFuture.get()
            #expect(
                ends.nearEvents.events == [.registered, .active, .inputClosed, .inactive, .unregistered, .removed])
        }
    }
}
