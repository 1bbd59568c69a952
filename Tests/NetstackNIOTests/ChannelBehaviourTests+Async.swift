// Behaviours: channels as asynchronous sequences.

import NIOCore
import TestSupport
import Testing

private typealias AsyncBytes = NIOAsyncChannel<ByteBuffer, ByteBuffer>

private let wrap: Initializer<AsyncBytes> = { channel in
    channel.eventLoop.makeCompletedFuture { try AsyncBytes(wrappingChannelSynchronously: channel) }
}

extension Network {
    /// Serves one connection: `body` is what its server does.
    fileprivate func serveOne(
        _ body: @escaping @Sendable (AsyncBytes) async throws -> Void,
        client: (any TCPClient, SocketAddress) async throws -> Void
    ) async throws {
        let server = try await server.bind(
            to: farAddress, serverBackPressureStrategy: nil, childChannelInitializer: wrap)
        let address = try #require(server.channel.localAddress)
        async let served: Void = server.executeThenClose { connections in
            for try await connection in connections {
                try await body(connection)
                return
            }
        }
        try await client(self.client, address)
        try await served
        try await server.channel.closeFuture.get()
    }
}

extension ChannelBehaviourTests {
    @Test(arguments: Transport.allCases)
    func connectionsAreASequence(_ transport: Transport) async throws {
        try await transport.run { network in
            try await network.serveOne { connection in
                try await connection.executeThenClose { inbound, outbound in
                    for try await bytes in inbound { try await outbound.write(bytes) }
                }
            } client: { client, address in
                let channel = try await client.connect(to: address, channelInitializer: wrap)
                try await channel.executeThenClose { inbound, outbound in
                    try await outbound.write(ByteBuffer(string: "hello"))
                    var iterator = inbound.makeAsyncIterator()
                    #expect(try await iterator.next() == ByteBuffer(string: "hello"))
                }
                try await channel.channel.closeFuture.get()
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func aSequenceEndsWithThePeersEnd(_ transport: Transport) async throws {
        try await transport.run { network in
            try await network.serveOne { connection in
                try await connection.executeThenClose { _, outbound in
                    try await outbound.write(ByteBuffer(string: "all"))
                }
            } client: { client, address in
                let channel = try await client.connect(to: address, channelInitializer: wrap)
                try await channel.executeThenClose { inbound, _ in
                    var all = ByteBuffer()
                    for try await bytes in inbound { all.writeImmutableBuffer(bytes) }
                    #expect(all == ByteBuffer(string: "all"))
                }
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func aSequencesReaderHoldsUpItsWriter(_ transport: Transport) async throws {
        try await transport.run { network in
            let total = 16 << 20
            try await network.serveOne { connection in
                try await connection.executeThenClose { inbound, _ in
                    var count = 0
                    for try await bytes in inbound {
                        try #require(bytes == pattern(bytes.readableBytes, from: count))
                        count += bytes.readableBytes
                        if count == total { break }
                    }
                    #expect(count == total)
                }
            } client: { client, address in
                let channel = try await client.connect(to: address, channelInitializer: wrap)
                try await channel.executeThenClose { inbound, outbound in
                    for offset in stride(from: 0, to: total, by: 1 << 16) {
                        try await outbound.write(pattern(1 << 16, from: offset))
                    }
                    for try await _ in inbound {}
                }
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func halfClosureReachesASequence(_ transport: Transport) async throws {
        try await transport.run { network in
            let halves: Initializer<AsyncBytes> = { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
                    return try AsyncBytes(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true))
                }
            }
            let server = try await network.server.bind(
                to: network.farAddress, serverBackPressureStrategy: nil, childChannelInitializer: halves)
            let address = try #require(server.channel.localAddress)
            async let served: Void = server.executeThenClose { connections in
                for try await connection in connections {
                    try await connection.executeThenClose { inbound, outbound in
                        var count = 0
                        for try await bytes in inbound { count += bytes.readableBytes }
                        try await outbound.write(ByteBuffer(string: "\(count)"))
                    }
                    return
                }
            }
            let channel = try await network.client.connect(to: address, channelInitializer: halves)
            try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(pattern(100_000))
                outbound.finish()
                var all = ByteBuffer()
                for try await bytes in inbound { all.writeImmutableBuffer(bytes) }
                #expect(all == ByteBuffer(string: "100000"))
            }
            try await served
        }
    }

    @Test(arguments: Transport.allCases)
    func aRefusedConnectThrows(_ transport: Transport) async throws {
        try await transport.run { network in
            let address = try network.closedAddress()
            await #expect(throws: (any Error).self) {
                try await network.client.connect(to: address, channelInitializer: wrap)
            }
        }
    }

    @Test(arguments: Transport.allCases)
    func datagramsAreASequence(_ transport: Transport) async throws {
        try await transport.run { network in
            let wrap: Initializer<NIOAsyncChannel<Envelope, Envelope>> = { channel in
                channel.eventLoop.makeCompletedFuture { try .init(wrappingChannelSynchronously: channel) }
            }
            let far = try await network.farDatagrams.bind(to: network.farAddress, channelInitializer: wrap)
            let near = try await network.nearDatagrams.bind(to: network.nearAddress, channelInitializer: wrap)
            try await far.executeThenClose { received, _ in
                try await near.executeThenClose { _, sent in
                    let address = try #require(far.channel.localAddress)
                    try await sent.write(Envelope(remoteAddress: address, data: ByteBuffer(string: "x")))
                    var iterator = received.makeAsyncIterator()
                    #expect(try await iterator.next()?.data == ByteBuffer(string: "x"))
                }
            }
        }
    }
}
