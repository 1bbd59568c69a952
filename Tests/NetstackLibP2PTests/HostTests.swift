// Two hosts of ours on loopback: who gets in, streams, and what ends them.

import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOPosix
import Netstack
import NetstackLibP2P
import TestSupport
import Testing

struct HostTests {
    /// Runs `body` with a host that listens and one that it lets in, and shows that nothing stays of either.
    func withHosts(
        _ version: IPVersion = .v4, limits: LibP2PHost.Limits = .init(),
        _ body: @Sendable (_ near: LibP2PHost, _ far: LibP2PHost, _ address: Multiaddr) async throws -> Void
    ) async throws {
        let near = LibP2PHost(configuration: .quiet())
        let far = LibP2PHost(configuration: .quiet(limits))
        await far.allow(near.peerID)
        let address = try await far.listen(on: .loopback(version))
        do {
            try await body(near, far, address)
        } catch {
            await near.shutdown()
            await far.shutdown()
            throw error
        }
        await near.shutdown()
        await far.shutdown()
        for host in [near, far] {
            #expect(await host.connectedPeers.isEmpty)
            #expect(await host.streamCount == 0)
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func bytesGoThereAndBack(_ version: IPVersion) async throws {
        try await withHosts(version) { near, far, address in
            await far.handle("/test/echo/1") { stream in
                #expect(stream.peer == near.peerID)
                while let bytes = try await stream.read() { try await stream.write(bytes) }
            }
            let stream = try await near.openStream(to: address, protocols: ["/test/echo/1"])
            #expect(stream.peer == far.peerID)
            try await stream.write(ByteBuffer(string: "there and back"))
            try await stream.closeWrite()
            #expect(try await stream.readToEnd() == ByteBuffer(string: "there and back"))
            await stream.close()
        }
    }

    @Test func streamsShareAConnection() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/echo/1") { stream in
                while let bytes = try await stream.read() { try await stream.write(bytes) }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let stream = try await near.openStream(to: address, protocols: ["/test/echo/1"])
                        let text = ByteBuffer(string: "stream \(number)")
                        try await stream.write(text)
                        try await stream.closeWrite()
                        #expect(try await stream.readToEnd() == text)
                        await stream.close()
                    }
                }
                try await group.waitForAll()
            }
            #expect(await near.counters.connections == 1)
            #expect(await far.counters.streams == 20)
        }
    }

    @Test func streamsToAnAddressWithoutAPeerShareAConnection() async throws {
        try await withHosts { near, far, address in
            let bare = try Multiaddr("/ip4/127.0.0.1/tcp/\(#require(address.port))")
            for _ in 0..<3 { #expect(try await near.ping(bare) > .zero) }
            #expect(await near.counters.connections == 1)
        }
    }

    @Test func aDiallerMayNameOnlyThePeerOnceConnected() async throws {
        try await withHosts { near, far, address in
            try await #require(near.connect(to: address) == far.peerID)
            #expect(try await near.ping(Multiaddr("/p2p/\(far.peerID)")) > .zero)
        }
    }

    @Test func thePeerTakesTheFirstProtocolThatItKnows() async throws {
        try await withHosts { near, far, address in
            await far.handle("/b") { _ in }
            let stream = try await near.openStream(to: address, protocols: ["/a", "/b"])
            #expect(stream.protocolID == "/b")
            await #expect(throws: LibP2PError.unsupportedProtocol(["/a", "/c"])) {
                try await near.openStream(to: address, protocols: ["/a", "/c"])
            }
            await stream.close()
            // On the same connection, so behind what the failure has sent.
            #expect(try await near.ping(address) > .zero)
            #expect(await far.counters.streamsFailed == 1)
        }
    }

    @Test func namesAreLookedUp() async throws {
        try await withHosts { near, far, address in
            let port = try #require(address.port)
            #expect(try await near.ping(Multiaddr("/dns4/localhost/tcp/\(port)/p2p/\(far.peerID)")) > .zero)
            // A name that has no such address.
            await #expect {
                try await near.connect(to: Multiaddr("/dns6/127.0.0.1/tcp/\(port)"))
            } throws: { error in
                if case .unreachable? = error as? LibP2PError { true } else { false }
            }
        }
    }

    // MARK: Who gets in

    @Test func nobodyGetsInWhoIsNotNamed() async throws {
        try await withHosts { _, far, address in
            let stranger = LibP2PHost(configuration: .quiet())
            await #expect(throws: (any Error).self) { try await stranger.ping(address) }
            await stranger.shutdown()
            #expect(await far.counters.peersRefused == 1)
            #expect(await far.connectedPeers.isEmpty)
        }
    }

    @Test func aPeerThatWasDialledOpensNoStreamsUnlessItIsNamed() async throws {
        try await withHosts { near, far, address in
            try await near.connect(to: address)
            await #expect(throws: (any Error).self) { try await far.ping(Multiaddr("/p2p/\(near.peerID)")) }
            await near.allow(far.peerID)
            #expect(try await far.ping(Multiaddr("/p2p/\(near.peerID)")) > .zero)
        }
    }

    @Test func whoIsTakenOffTheListIsDisconnected() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/wait/1") { stream in _ = try await stream.read() }
            let stream = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            await far.disallow(near.peerID)
            await #expect(throws: (any Error).self) { try await stream.read() }
        }
    }

    @Test func anotherPeerThanTheOneDialledEndsTheDial() async throws {
        try await withHosts { near, far, address in
            let other = LibP2PHost().peerID
            let wrong = try Multiaddr("\(address)".replacing("\(far.peerID)", with: "\(other)"))
            await #expect(throws: LibP2PError.wrongPeer(expected: other, found: far.peerID)) {
                try await near.connect(to: wrong)
            }
            #expect(await near.connectedPeers.isEmpty)
        }
    }

    // MARK: Ends

    @Test func aResetIsSeenByThePeer() async throws {
        try await withHosts { near, far, address in
            let result = AsyncStream.makeStream(of: Result<ByteBuffer?, any Error>.self)
            await far.handle("/test/reset/1") { stream in
                let read = await Task { try await stream.read() }.result
                result.continuation.yield(read)
            }
            let stream = try await near.openStream(to: address, protocols: ["/test/reset/1"])
            stream.reset()
            let read = await result.stream.first { _ in true }
            #expect(throws: LibP2PError.streamReset) { try read?.get() }
        }
    }

    @Test func aStreamThatNobodyHoldsIsReset() async throws {
        try await withHosts { near, far, address in
            let result = AsyncStream.makeStream(of: Result<ByteBuffer?, any Error>.self)
            await far.handle("/test/reset/1") { stream in
                let read = await Task { try await stream.read() }.result
                result.continuation.yield(read)
            }
            _ = try await near.openStream(to: address, protocols: ["/test/reset/1"])
            let read = await result.stream.first { _ in true }
            #expect(throws: LibP2PError.streamReset) { try read?.get() }
        }
    }

    @Test func aStreamResetHereIsNoEndOfThePeers() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/wait/1") { stream in _ = try await stream.read() }
            let stream = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            try await stream.closeWrite()
            stream.reset()
            await #expect(throws: LibP2PError.closed) { try await stream.read() }
        }
    }

    @Test func aDialThatIsCancelledEndsAtOnce() async throws {
        try await withHosts { near, _, _ in
            // It accepts, and says nothing.
            let silent = try await ServerBootstrap(group: near.eventLoop).bind(host: "127.0.0.1", port: 0).get()
            let port = try #require(silent.localAddress?.port)
            let dial = Task { try await near.openLink(to: Multiaddr("/ip4/127.0.0.1/tcp/\(port)")) }
            dial.cancel()
            await #expect(throws: CancellationError.self) { try await dial.value }
            try await silent.close()
        }
    }

    @Test func aConnectionThatGoesEndsItsStreams() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/wait/1") { stream in _ = try await stream.read() }
            let stream = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            await far.shutdown()
            await #expect(throws: (any Error).self) { try await stream.read() }
            await #expect { try await near.ping(address) } throws: { error in
                if case .unreachable? = error as? LibP2PError { true } else { false }
            }
            #expect(await near.connectedPeers.isEmpty)
        }
    }

    @Test func aReadThatIsCancelledEnds() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/wait/1") { stream in _ = try await stream.read() }
            let stream = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            let read = Task { try await stream.read() }
            read.cancel()
            await #expect(throws: CancellationError.self) { try await read.value }
            await stream.close()
        }
    }

    @Test func aHostThatIsShutDownDoesNothing() async throws {
        let host = LibP2PHost(configuration: .quiet())
        let address = try await host.listen(on: .loopback(.v4))
        await host.shutdown()
        await #expect(throws: LibP2PError.closed) { try await host.connect(to: address) }
        await #expect(throws: LibP2PError.closed) { try await host.listen(on: .loopback(.v4)) }
    }

    @Test func bytesThatComeAfterACancelledReadAreForTheNext() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/echo/1") { stream in
                while let bytes = try await stream.read() { try await stream.write(bytes) }
            }
            let stream = try await near.openStream(to: address, protocols: ["/test/echo/1"])
            let read = Task { try await stream.read() }
            read.cancel()
            await #expect(throws: CancellationError.self) { try await read.value }
            try await stream.write(ByteBuffer(string: "still there"))
            try await stream.closeWrite()
            #expect(try await stream.readToEnd() == ByteBuffer(string: "still there"))
            await stream.close()
        }
    }

    // MARK: Links

    @Test func anEndpointTakesOneLinkAfterTheOther() async throws {
        try await withHosts { near, far, address in
            let endpoint = Endpoint()
            await far.acceptLinks(attachedTo: endpoint)
            let stack = try Stack(StacksUnderTest.far)
            try await stack.createNIC(1, endpoint: endpoint, addresses: [StackPair.farAddress])
            try await stack.addRoute(to: .everyIPv4, via: 1)
            for _ in 0..<3 {
                let other = try Stack(StacksUnderTest.near)
                try await other.createNIC(1, link: near.openLink(to: address), addresses: [StackPair.nearAddress])
                try await other.addRoute(to: .everyIPv4, via: 1)
                #expect(try await other.ping(StackPair.farAddress) > .zero)
                // One too many, for now.
                let further = try await near.openLink(to: address)
                #expect(try await further.readBatch() == nil)
                await other.shutdown()
                // The far side's end of the link is over when its stream is.
                while await far.streamCount > 0 { await Task.yield() }
            }
            await stack.shutdown()
        }
    }

    // MARK: Limits

    @Test func streamsBeyondTheLimitAreReset() async throws {
        var limits = LibP2PHost.Limits()
        limits.streamsPerConnection = 2
        try await withHosts(limits: limits) { near, far, address in
            await far.handle("/test/wait/1") { stream in _ = try await stream.read() }
            let first = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            let second = try await near.openStream(to: address, protocols: ["/test/wait/1"])
            await #expect(throws: (any Error).self) {
                try await near.openStream(to: address, protocols: ["/test/wait/1"])
            }
            #expect(await far.counters.streamsRefused == 1)
            await first.close()
            await second.close()
        }
    }

    @Test func connectionsBeyondTheLimitAreClosed() async throws {
        var limits = LibP2PHost.Limits()
        limits.connections = 1
        try await withHosts(limits: limits) { near, far, address in
            try await near.connect(to: address)
            let other = LibP2PHost(configuration: .quiet())
            await far.allow(other.peerID)
            await #expect(throws: LibP2PError.self) { try await other.connect(to: address) }
            await other.shutdown()
            #expect(await far.counters.connectionsRefused == 1)
        }
    }

    /// Dials that have no connection yet count as well.
    @Test func dialsBeyondTheLimitOfConnectionsThrow() async throws {
        var limits = LibP2PHost.Limits()
        limits.connections = 1
        let dialler = LibP2PHost(configuration: .quiet(limits))
        try await withHosts { _, far, address in
            let other = try await far.listen(on: .loopback(.v4))
            await far.allow(dialler.peerID)
            let dials = [address, other].map { place in Task { _ = try await dialler.connect(to: place) } }
            var refused: [LibP2PError] = []
            for dial in dials {
                do throws(any Error) {
                    try await dial.value
                } catch let error as LibP2PError {
                    refused.append(error)
                }
            }
            #expect(refused == [.limitReached(what: "connections", limit: 1)])
            #expect(await dialler.counters.connectionsRefused == 1)
            await dialler.shutdown()
        }
    }

    @Test func aDialToWhomSaysNothingIsGivenUp() async throws {
        var limits = LibP2PHost.Limits()
        limits.handshakeTime = .milliseconds(50)
        let dialler = LibP2PHost(configuration: .quiet(limits))
        let server = try KernelServer { _ = try? $0.readToEnd() }
        await #expect(throws: LibP2PError.timedOut(what: "the handshake")) {
            try await dialler.connect(to: Multiaddr("/ip4/127.0.0.1/tcp/\(server.port)"))
        }
        #expect(await dialler.counters.handshakesTimedOut == 1)
        await dialler.shutdown()
    }

    /// What has no limit in the settings has one in the protocol.
    @Test func windowsWithoutALimitAreBorne() async throws {
        var limits = LibP2PHost.Limits()
        limits.streamWindowBytes = .max
        limits.connectionWindowBytes = .max
        try await withHosts(limits: limits) { near, far, address in
            await far.handle("/test/count/1") { stream in
                var count = 0
                while let bytes = try await stream.read() { count += bytes.readableBytes }
                try await stream.write(ByteBuffer(string: "\(count)"))
            }
            let stream = try await near.openStream(to: address, protocols: ["/test/count/1"])
            try await stream.write(ByteBuffer(repeating: 1, count: 1 << 20))
            try await stream.closeWrite()
            #expect(try await stream.read() == ByteBuffer(string: "\(1 << 20)"))
            await stream.close()
        }
    }

    @Test func aHandshakeThatTakesTooLongIsGivenUp() async throws {
        var limits = LibP2PHost.Limits()
        limits.handshakeTime = .milliseconds(50)
        limits.handshakes = 1
        try await withHosts(limits: limits) { _, far, address in
            let port = Int(try #require(address.port))
            // Not on the hosts' event loop, which this blocks.
            let heard = try await Task.detached {
                try KernelSocket.with(port: port) { silent in
                    // The second is one too many, while the first is waited for.
                    let heard = try KernelSocket.with(port: port) { try $0.readToEnd() }
                    _ = try silent.readToEnd()
                    return heard
                }
            }.value
            #expect(heard.readableBytes == 0)
            #expect(await far.counters.handshakesRefused == 1)
            #expect(await far.counters.handshakesTimedOut == 1)
        }
    }

    @Test func messagesBeyondTheLimitAreCounted() async throws {
        var limits = LibP2PHost.Limits()
        limits.negotiationMessageBytes = 100
        try await withHosts(limits: limits) { near, far, address in
            let port = Int(try #require(address.port))
            try await Task.detached {
                try KernelSocket.with(port: port) { dialler in
                    var greeting = ByteBuffer()
                    greeting.writeBytes([19])
                    greeting.writeString("/multistream/1.0.0\n")
                    greeting.writeBytes([101])
                    try dialler.write(greeting)
                    _ = try dialler.readToEnd()
                }
            }.value
            #expect(await far.counters.messagesTooLong == 1)
            #expect(await far.counters.handshakesFailed == 1)
            // And on a stream.
            await #expect(throws: LibP2PError.self) {
                try await near.openStream(to: address, protocols: ["/" + String(repeating: "long", count: 30)])
            }
            #expect(try await near.ping(address) > .zero)
            #expect(await far.counters.messagesTooLong == 2)
            #expect(await far.counters.streamsFailed == 1)
        }
    }

    @Test func anIdentifyMessageBeyondTheLimitIsAnError() async throws {
        var limits = LibP2PHost.Limits()
        limits.identifyMessageBytes = 10
        let host = LibP2PHost(configuration: .quiet(limits))
        try await withHosts { near, far, address in
            await far.allow(host.peerID)
            await #expect(throws: LibP2PError.limitReached(what: "identifyMessageBytes", limit: 10)) {
                try await host.identify(address)
            }
            #expect(await host.counters.messagesTooLong == 1)
        }
        await host.shutdown()
    }

    // MARK: Identify and ping

    /// With answers that nobody takes, nothing more is read: so nothing grows.
    @Test func pingsAreReadNoFasterThanTheirAnswersAreTaken() throws {
        let reads = CountingReads()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers(reads, PingResponder())
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let before = reads.count
        try channel.writeInbound(ByteBuffer(string: "ping"))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "ping"))
        channel.read()
        #expect(reads.count == before + 1)
        channel.isWritable = false
        channel.read()
        channel.read()
        #expect(reads.count == before + 1)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == before + 2)
        #expect(try channel.finish().isClean)
    }

    /// As some implementations do: they have nothing to say to identify, and no more pings.
    @Test func aPeerThatHasClosedItsSideIsAnswered() async throws {
        try await withHosts { near, far, address in
            let ping = try await near.openStream(to: address, protocols: ["/ipfs/ping/1.0.0"])
            try await ping.write(ByteBuffer(repeating: 7, count: 32))
            try await ping.closeWrite()
            #expect(try await ping.read() == ByteBuffer(repeating: 7, count: 32))
            #expect(try await ping.read() == nil)
            await ping.close()
            let identify = try await near.openStream(to: address, protocols: ["/ipfs/id/1.0.0"])
            try await identify.closeWrite()
            #expect(try await identify.read() != nil)
            #expect(try await identify.read() == nil)
            await identify.close()
        }
    }

    @Test func aHostSaysWhatItIs() async throws {
        try await withHosts { near, far, address in
            await far.handle("/test/echo/1") { _ in }
            let identification = try await near.identify(address)
            #expect(identification.protocols == ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/test/echo/1"])
            #expect(await identification.listenAddresses.map { $0.appending(far.peerID) } == far.listenAddresses)
            #expect(identification.observedAddress?.port != nil)
            #expect(identification.agentVersion == LibP2PHost.Configuration().agentVersion)
        }
    }
}

extension LibP2PHost.Configuration {
    /// One that logs nothing.
    static func quiet(_ limits: LibP2PHost.Limits = .init()) -> Self {
        var configuration = Self()
        configuration.limits = limits
        configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return configuration
    }
}

extension Multiaddr {
    static func loopback(_ version: IPVersion) throws -> Multiaddr {
        try Multiaddr(version == .v4 ? "/ip4/127.0.0.1/tcp/0" : "/ip6/::1/tcp/0")
    }
}

extension LibP2PStream {
    func readToEnd() async throws -> ByteBuffer {
        var all = ByteBuffer()
        while let bytes = try await read() { all.writeImmutableBuffer(bytes) }
        return all
    }
}

/// Counts the reads that get as far as the channel.
private final class CountingReads: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}
