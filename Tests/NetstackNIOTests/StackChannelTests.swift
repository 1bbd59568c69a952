// What only the channels of a stack have: few reads, host names, and `Stack.connectChannel`.

import NIOCore
import Netstack
import NetstackNIO
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(5))) struct StackChannelTests {
    /// Listens at the far stack, with `far` for the one channel that is accepted.
    private func listen(_ pair: StackPair, _ far: Bytes = Bytes()) async throws -> (any Channel, TransportAddress) {
        let server = try await NetstackServerBootstrap(stack: pair.far).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(far) }
        }.bind(to: TransportAddress(StackPair.farAddress, 0).socketAddress()).get()
        return (server, try #require(server.localAddress.flatMap { TransportAddress($0) }))
    }

    @Test func thePacketsOfABatchAreOneRead() async throws {
        try await StackPair.with(mtu: 1500) { pair in
            let far = Bytes()
            let (server, address) = try await listen(pair, far)
            let channel = try await pair.near.connectChannel(to: address)
            let bytes = pattern(8 << 20)
            try await channel.writeAndFlush(bytes).get()
            await far.until(count: bytes.readableBytes)
            #expect(far.bytes == bytes)
            #expect(far.messages.count < bytes.readableBytes / 1448 / 4)
            try await channel.close()
            try await server.close()
        }
    }

    @Test func theWritesOfAFlushSharePackets() async throws {
        try await StackPair.with(mtu: 1500) { pair in
            let far = Bytes()
            let (server, address) = try await listen(pair, far)
            let channel = try await pair.near.connectChannel(to: address)
            let before = try await pair.near.statistics(of: 1).packetsSent
            try await channel.sync { channel in
                for index in 0..<200 { channel.write(pattern(7, from: index * 7), promise: nil) }
                channel.write(ByteBuffer(), promise: nil)
                channel.flush()
            }
            await far.until(count: 1400)
            #expect(far.bytes == pattern(1400))
            #expect(try await pair.near.statistics(of: 1).packetsSent - before < 10)
            try await channel.close()
            try await server.close()
        }
    }

    /// As with a socket whose buffer is full: written later, and not lost.
    @Test func datagramsThatFindTheLinkFullWait() async throws {
        try await StackPair.with(mtu: 1500) { pair in
            let sink = try await pair.far.openUDP(port: 0)
            let destination = try TransportAddress(StackPair.farAddress, sink.localAddress.port).socketAddress()
            let channel = try await NetstackDatagramBootstrap(stack: pair.near).connect(to: destination).get()
            let before = try await pair.near.statistics(of: 1)
            let written = try await channel.sync { channel in
                let promises = (0..<2000).map { _ in channel.eventLoop.makePromise(of: Void.self) }
                for promise in promises { channel.write(pattern(1400), promise: promise) }
                channel.flush()
                #expect(!channel.isWritable)
                return promises.map(\.futureResult)
            }
            for future in written { try await future.get() }
            let after = try await pair.near.statistics(of: 1)
            #expect(after.packetsSent - before.packetsSent == 2000)
            #expect(after.dropped[.linkFull] == 0)
            #expect(channel.isWritable)
            try await channel.close()
            await sink.close()
        }
    }

    @Test func aHostMayBeTheTextOfAnAddress() async throws {
        try await StackPair.with { pair in
            let (server, address) = try await listen(pair)
            let client = NetstackClientBootstrap(stack: pair.near)
            let channel = try await client.connect(host: "\(address.address)", port: Int(address.port)).get()
            #expect(channel.isActive)
            try await channel.close()
            await #expect(throws: NetstackError.refused(TransportAddress(StackPair.farAddress, 9))) {
                try await client.connect(host: "10.0.0.2", port: 9).get()
            }
            await #expect(throws: NetstackError.noNameServer) {
                try await client.connect(host: "name.example", port: 9).get()
            }
            try await server.close()
        }
    }

    @Test func connectChannelConnectsFromAnAddressAndANIC() async throws {
        try await StackPair.with { pair in
            let (server, address) = try await listen(pair)
            let source = TransportAddress(StackPair.nearAddress, 4321)
            let channel = try await pair.near.connectChannel(to: address, from: source, nic: 1) {
                try $0.syncOptions?.setOption(.autoRead, value: false)
            }
            #expect(channel.localAddress == (try source.socketAddress()))
            #expect(channel.isActive)
            #expect(try await !channel.getOption(.autoRead).get())
            try await channel.close()
            try await server.close()
        }
    }

    @Test func connectChannelThrowsWhatKeepsItFromOpening() async throws {
        try await StackPair.with { pair in
            let nowhere = TransportAddress(StackPair.farAddress, 9)
            await #expect(throws: NetstackError.refused(nowhere)) { try await pair.near.connectChannel(to: nowhere) }
            let nobody = try TransportAddress("10.9.9.9:80")
            await #expect(throws: NetstackError.timedOut(nobody)) {
                try await pair.near.connectChannel(to: nobody, timeout: .milliseconds(10))
            }
            let (server, address) = try await listen(pair)
            await #expect(throws: Refusal.self) {
                try await pair.near.connectChannel(to: address) { _ in throw Refusal() }
            }
            try await server.close()
            await pair.untilEmpty()
        }
    }

    @Test func cancellingConnectChannelReleasesIt() async throws {
        try await StackPair.with { pair in
            let living = Living()
            let dial = Task {
                try await pair.near.connectChannel(to: TransportAddress("10.9.9.9:80")) { living.add($0) }
            }
            while await pair.near.connectionCount == 0 { await Task.yield() }
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
            await pair.untilEmpty()
            while living.count > 0 { await Task.yield() }
        }
    }
}
