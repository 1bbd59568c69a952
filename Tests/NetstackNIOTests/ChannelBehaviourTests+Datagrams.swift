// Behaviours: channels of datagrams.

import NIOCore
import Netstack
import TestSupport
import Testing

typealias Envelope = AddressedEnvelope<ByteBuffer>
private typealias Envelopes = Recorder<Envelope>

extension Network {
    /// A socket at each end.
    fileprivate func sockets(
        near: Envelopes = Envelopes(), far: Envelopes = Envelopes(),
        _ configure: (any Datagrams) -> any Datagrams = { $0 }
    ) async throws -> (near: any Channel, far: any Channel) {
        let a = try await nearDatagrams.channelInitializer(adding(near)).bind(to: nearAddress).get()
        let b = try await configure(farDatagrams.channelInitializer(adding(far))).bind(to: farAddress).get()
        return (a, b)
    }

    /// A socket that is connected to `peer`.
    fileprivate func connected(to peer: any Channel, _ recorder: Envelopes = Envelopes()) async throws -> any Channel {
        try await nearDatagrams.channelInitializer(adding(recorder)).connect(to: #require(peer.localAddress)).get()
    }
}

extension Channel {
    fileprivate func send(_ text: String, to peer: any Channel) async throws {
        let address = try #require(peer.localAddress)
        try await writeAndFlush(Envelope(remoteAddress: address, data: ByteBuffer(string: text))).get()
    }
}

extension Recorder where Message == Envelope {
    fileprivate var texts: [String] { messages.map { String(buffer: $0.data) } }

    fileprivate func until(count: Int) async { await until { $0.messages.count >= count } }
}

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func datagramsCarryTheirSenders(_ transport: Transport) async throws {
        try await transport.run { network in
            let (a, b) = (Envelopes(), Envelopes())
            let (near, far) = try await network.sockets(near: a, far: b)
            try await near.send("question", to: far)
            await b.until(count: 1)
            #expect(b.texts == ["question"])
            #expect(b.messages.first?.remoteAddress == near.localAddress)
            try await far.send("answer", to: near)
            await a.until(count: 1)
            #expect(a.texts == ["answer"])
        }
    }

    @Test(arguments: Transport.allCases)
    func aSocketLivesLikeOtherChannels(_ transport: Transport) async throws {
        try await transport.run { network in
            let a = Envelopes()
            let (near, far) = try await network.sockets(near: a)
            #expect(near.isActive)
            #expect(near.isWritable)
            #expect(near.remoteAddress == nil)
            try await far.send("x", to: near)
            await a.until(.readComplete)
            try await near.close().get()
            await a.until(.removed)
            #expect(
                a.allEvents == [
                    .registered, .active, .read, .readComplete, .inactive, .unregistered, .removed,
                ])
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await near.send("x", to: far) }
            await #expect(throws: ChannelError.alreadyClosed) { try await near.close().get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func datagramsWaitForAFlush(_ transport: Transport) async throws {
        try await transport.run { network in
            let b = Envelopes()
            let (near, far) = try await network.sockets(far: b)
            let address = try #require(far.localAddress)
            let order = Order()
            try await near.sync { channel in
                for text in ["a", "b"] {
                    let envelope = Envelope(remoteAddress: address, data: ByteBuffer(string: text))
                    channel.write(envelope).whenSuccess { order.note(text) }
                }
                order.note("flush")
                channel.flush()
            }
            await b.until(count: 2)
            #expect(b.texts == ["a", "b"])
            #expect(order.all == ["flush", "a", "b"])
        }
    }

    @Test(arguments: Transport.allCases)
    func datagramsThatWaitCountForWritability(_ transport: Transport) async throws {
        try await transport.run { network in
            let a = Envelopes()
            let (near, far) = try await network.sockets(near: a)
            let address = try #require(far.localAddress)
            try await near.setOption(.writeBufferWaterMark, value: .init(low: 4, high: 8)).get()
            try await near.sync { channel in
                channel.write(Envelope(remoteAddress: address, data: ByteBuffer(string: "123456789")), promise: nil)
                #expect(!channel.isWritable)
                channel.flush()
                #expect(channel.isWritable)
            }
            #expect(a.events == [.registered, .active, .unwritable, .writable])
        }
    }

    @Test(arguments: Transport.allCases)
    func closingFailsTheDatagramsThatWait(_ transport: Transport) async throws {
        try await transport.run { network in
            let (near, far) = try await network.sockets()
            let address = try #require(far.localAddress)
            let waiting: EventLoopFuture<Void> = near.write(
                Envelope(remoteAddress: address, data: ByteBuffer(string: "x")))
            try await near.close().get()
            await #expect(throws: ChannelError.ioOnClosedChannel) { try await waiting.get() }
        }
    }

    @Test(arguments: Transport.allCases)
    func anEmptyDatagramArrives(_ transport: Transport) async throws {
        try await transport.run { network in
            let b = Envelopes()
            let (near, far) = try await network.sockets(far: b)
            try await near.send("", to: far)
            await b.until(count: 1)
            #expect(b.texts == [""])
        }
    }

    @Test(arguments: Transport.allCases)
    func aDatagramThatIsTooLongFailsAlone(_ transport: Transport) async throws {
        try await transport.run { network in
            let b = Envelopes()
            let (near, far) = try await network.sockets(far: b)
            await #expect(throws: (any Error).self) {
                try await near.send(String(repeating: "x", count: 70000), to: far)
            }
            // NIO's own forgets that it was above its mark.
            if transport == .stack { #expect(near.isWritable) }
            try await near.send("short", to: far)
            await b.until(count: 1)
            #expect(b.texts == ["short"])
        }
    }

    @Test(arguments: Transport.allCases)
    func buffersForDatagramsMayBeChosen(_ transport: Transport) async throws {
        try await transport.run { network in
            let b = Envelopes()
            let allocator = FixedSizeRecvByteBufferAllocator(capacity: 9000)
            let (near, far) = try await network.sockets(far: b) { $0.channelOption(.recvAllocator, value: allocator) }
            #expect(try await far.getOption(.recvAllocator).get().nextBufferSize() == 9000)
            try await near.send(String(repeating: "x", count: 5000), to: far)
            await b.until(count: 1)
            #expect(b.messages.first?.data.readableBytes == 5000)
        }
    }

    @Test(arguments: Transport.allCases)
    func withoutAutoReadNoDatagramIsReadUnasked(_ transport: Transport) async throws {
        try await transport.run { network in
            let (a, b) = (Envelopes(), Envelopes())
            let (near, far) = try await network.sockets(near: a, far: b) { $0.channelOption(.autoRead, value: false) }
            try await near.send("x", to: far)
            try await far.send("y", to: near)
            await a.until(count: 1)
            #expect(b.texts == [])
            far.read()
            await b.until(count: 1)
        }
    }

    @Test(arguments: Transport.allCases)
    func aDatagramWithoutADestinationFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let (near, _) = try await network.sockets()
            await #expect(throws: DatagramChannelError.WriteOnUnconnectedSocketWithoutAddress.self) {
                try await near.write(text: "x").get()
            }
            #expect(near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func aConnectedSocketTakesBareBytes(_ transport: Transport) async throws {
        try await transport.run { network in
            let (a, b) = (Envelopes(), Envelopes())
            let (_, far) = try await network.sockets(far: b)
            let near = try await network.connected(to: far, a)
            #expect(near.remoteAddress == far.localAddress)
            try await near.write(text: "bare").get()
            try await near.send("addressed", to: far)
            await b.until(count: 2)
            #expect(b.texts == ["bare", "addressed"])
            let back = Envelope(
                remoteAddress: try #require(b.messages.first?.remoteAddress), data: ByteBuffer(string: "answer"))
            try await far.writeAndFlush(back).get()
            await a.until(count: 1)
            #expect(a.texts == ["answer"])
        }
    }

    @Test(arguments: Transport.allCases)
    func aConnectedSocketSendsToItsPeerOnly(_ transport: Transport) async throws {
        try await transport.run { network in
            let (_, far) = try await network.sockets()
            let (_, other) = try await network.sockets()
            let near = try await network.connected(to: far)
            await #expect(throws: DatagramChannelError.WriteOnConnectedSocketWithInvalidAddress.self) {
                try await near.send("x", to: other)
            }
            #expect(near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func aConnectedSocketHearsItsPeerOnly(_ transport: Transport) async throws {
        try await transport.run { network in
            let (a, b) = (Envelopes(), Envelopes())
            let (_, far) = try await network.sockets(far: b)
            let (_, other) = try await network.sockets()
            let near = try await network.connected(to: far, a)
            try await near.write(text: "x").get()
            await b.until(count: 1)
            let address = try #require(b.messages.first?.remoteAddress)
            let stranger = Envelope(remoteAddress: address, data: ByteBuffer(string: "stranger"))
            try await other.writeAndFlush(stranger).get()
            try await far.writeAndFlush(Envelope(remoteAddress: address, data: ByteBuffer(string: "peer"))).get()
            await a.until(count: 1)
            #expect(a.texts == ["peer"])
        }
    }

    @Test(arguments: Transport.allCases)
    func aConnectedSocketHearsThatItsPeerIsGone(_ transport: Transport) async throws {
        try await transport.run { network in
            let a = Envelopes()
            let near = try await network.nearDatagrams.channelInitializer(network.adding(a))
                .connect(to: network.deafAddress()).get()
            try await near.write(text: "x").get()
            await a.until(.error)
            #expect(near.isActive)
            if transport == .stack {
                guard case .unreachable(_, .port)? = a.errors.first as? NetstackError else {
                    Issue.record("\(a.errors)")
                    return
                }
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func anUnconnectedSocketHearsNothingOfThat(_ transport: Transport) async throws {
        try await transport.run { network in
            let a = Envelopes()
            let (near, other) = try await network.sockets(near: a)
            let gone = try network.deafAddress()
            try await near.writeAndFlush(Envelope(remoteAddress: gone, data: ByteBuffer(string: "x"))).get()
            try await other.send("y", to: near)
            await a.until(count: 1)
            #expect(a.events == [.registered, .active, .read])
        }
    }

    @Test(arguments: Transport.allCases)
    func aTakenPortIsNotBoundByAnotherSocket(_ transport: Transport) async throws {
        try await transport.run { network in
            let (_, far) = try await network.sockets()
            let second = try network.farDatagrams.channelInitializer(network.adding(Envelopes()))
                .bind(to: #require(far.localAddress))
            await #expect(throws: (any Error).self) { try await second.get() }
        }
    }
}
