// Behaviours: options.

import NIOCore
import Testing

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func defaultsAreThoseOfSockets(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            for channel in [ends.near, ends.far] {
                #expect(try await channel.getOption(.autoRead).get())
                #expect(try await !channel.getOption(.allowRemoteHalfClosure).get())
                #expect(try await channel.getOption(.maxMessagesPerRead).get() == 4)
                #expect(try await channel.getOption(.writeBufferWaterMark).get().low == 32 << 10)
                #expect(try await channel.getOption(.writeBufferWaterMark).get().high == 64 << 10)
                #expect(try await channel.getOption(.tcpOption(.tcp_nodelay)).get() == 1)
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func optionsAreWhatTheyWereSetTo(_ transport: Transport) async throws {
        try await transport.run { network in
            let channel = try await network.ends().near
            try await channel.setOption(.autoRead, value: false).get()
            #expect(try await !channel.getOption(.autoRead).get())
            try await channel.setOption(.allowRemoteHalfClosure, value: true).get()
            #expect(try await channel.getOption(.allowRemoteHalfClosure).get())
            try await channel.setOption(.maxMessagesPerRead, value: 9).get()
            #expect(try await channel.getOption(.maxMessagesPerRead).get() == 9)
            try await channel.setOption(.writeBufferWaterMark, value: .init(low: 1, high: 2)).get()
            #expect(try await channel.getOption(.writeBufferWaterMark).get().high == 2)
            try await channel.setOption(.connectTimeout, value: .seconds(3)).get()
            #expect(try await channel.getOption(.connectTimeout).get() == .seconds(3))
            let allocator = FixedSizeRecvByteBufferAllocator(capacity: 77)
            try await channel.setOption(.recvAllocator, value: allocator).get()
            #expect(try await channel.getOption(.recvAllocator).get().nextBufferSize() == 77)
            try await channel.setOption(.allocator, value: ByteBufferAllocator()).get()
        }
    }

    @Test(arguments: Transport.allCases)
    func socketOptionsAreWhatTheyWereSetTo(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            for channel in [ends.near, ends.far] {
                for value: SocketOptionValue in [0, 1] {
                    try await channel.setOption(.tcpOption(.tcp_nodelay), value: value).get()
                    #expect(try await channel.getOption(.tcpOption(.tcp_nodelay)).get() == value)
                    try await channel.setOption(.socketOption(.so_keepalive), value: value).get()
                    #expect(try await channel.getOption(.socketOption(.so_keepalive)).get() == value)
                }
                try await channel.setOption(.socketOption(.so_reuseaddr), value: 1).get()
                #expect(try await channel.getOption(.socketOption(.so_reuseaddr)).get() == 1)
            }
            try await ends.near.write(text: "x").get()
            await ends.farEvents.until(text: "x")
        }
    }

    @Test(arguments: Transport.allCases)
    func socketOptionsMayBeSetBeforeConnecting(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends(
                client: {
                    $0.channelOption(.socketOption(.so_keepalive), value: 1)
                        .channelOption(.tcpOption(.tcp_nodelay), value: 0)
                },
                server: { $0.serverChannelOption(.socketOption(.so_reuseaddr), value: 1) })
            #expect(try await ends.near.getOption(.socketOption(.so_keepalive)).get() == 1)
            #expect(try await ends.near.getOption(.tcpOption(.tcp_nodelay)).get() == 0)
            // Nagle's algorithm holds back, and loses nothing.
            for _ in 0..<10 { ends.near.writeAndFlush(ByteBuffer(string: "x"), promise: nil) }
            await ends.farEvents.until(count: 10)
        }
    }

    @Test(arguments: Transport.allCases)
    func anUnknownSocketOptionFails(_ transport: Transport) async throws {
        try await transport.run { network in
            let ends = try await network.ends()
            let unknown = ChannelOptions.Types.SocketOption(level: 6, name: 9999)
            await #expect(throws: (any Error).self) { try await ends.near.setOption(unknown, value: 1).get() }
            await #expect(throws: (any Error).self) { try await ends.near.getOption(unknown).get() }
            #expect(ends.near.isActive)
        }
    }

    @Test(arguments: Transport.allCases)
    func anUnknownSocketOptionFailsTheConnect(_ transport: Transport) async throws {
        try await transport.run { network in
            let near = Bytes()
            let listener = try await network.listen()
            let unknown = ChannelOptions.Types.SocketOption(level: 6, name: 9999)
            let connected = try network.client.channelInitializer(network.adding(near))
                .channelOption(unknown, value: 1).connect(to: #require(listener.localAddress))
            await #expect(throws: (any Error).self) { try await connected.get() }
            #expect(near.allEvents == [])
        }
    }
}
