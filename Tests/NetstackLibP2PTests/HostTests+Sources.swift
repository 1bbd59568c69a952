// Bounds for each source, with addresses of loopback as sources.

import NIOCore
import NIOPosix
import Netstack
import NetstackLibP2P
import Testing

extension HostTests {
    /// Opens a connection from another address of this machine's than hosts do, and says nothing.
    private func silence(towards address: Multiaddr) async throws -> any Channel {
        let port = Int(try #require(address.port))
        return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(to: SocketAddress(ipAddress: "127.0.0.2", port: 0))
            .connect(host: "127.0.0.1", port: port).get()
    }

    @Test func oneSourceDoesNotTakeTheHandshakesOfOthers() async throws {
        var limits = LibP2PHost.Limits()
        limits.handshakes = Bound(total: 2, perSource: 1)
        // It is to outlast the test.
        limits.handshakeTime = .minutes(2)
        try await withHosts(limits: limits) { near, far, address in
            let first = try await silence(towards: address)
            let second = try await silence(towards: address)
            try await second.closeFuture.get()
            #expect(first.isActive)
            try await near.connect(to: address)
            #expect(await far.counters.handshakesRefused == 1)
            try await first.close()
            // It has left its place.
            while await far.counters.handshakesFailed == 0 { await Task.yield() }
            let third = try await silence(towards: address)
            // It names no peer, so this is a connection of its own, with a handshake after the third's.
            try await near.connect(to: Multiaddr("/ip4/127.0.0.1/tcp/\(#require(address.port))"))
            #expect(await near.counters.connections == 2)
            #expect(await far.counters.handshakesRefused == 1)
            try await third.close()
        }
    }

    @Test func oneSourceDoesNotTakeTheConnectionsOfOthers() async throws {
        var limits = LibP2PHost.Limits()
        limits.connections = Bound(total: 3, perSource: 1)
        try await withHosts(limits: limits) { near, far, address in
            let first = try await silence(towards: address)
            let second = try await silence(towards: address)
            try await second.closeFuture.get()
            #expect(await far.counters.connectionsRefused == 1)
            try await near.connect(to: address)
            let other = LibP2PHost(configuration: .quiet())
            await far.allow(other.peerID)
            // From where the near host is.
            await #expect(throws: LibP2PError.self) { try await other.connect(to: address) }
            #expect(await far.counters.connectionsRefused == 2)
            await near.disconnect(far.peerID)
            while await far.connectedPeers.contains(near.peerID) { await Task.yield() }
            try await other.connect(to: address)
            await other.shutdown()
            try await first.close()
        }
    }

    @Test func sourcesAreAddressesAndNetworksOf64Bits() throws {
        func source(_ address: String) throws -> IPAddress? {
            HostAddress.source(try SocketAddress(ipAddress: address, port: 1))
        }
        #expect(try source("192.0.2.1") == IPAddress("192.0.2.1"))
        #expect(try source("2001:db8:1:2:3:4:5:6") == IPAddress("2001:db8:1:2::"))
        #expect(try source("::ffff:192.0.2.1") == IPAddress("192.0.2.1"))
        #expect(try HostAddress.source(SocketAddress(unixDomainSocketPath: "/peer")) == nil)
    }
}
