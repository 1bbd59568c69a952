// Channels over streams of one libp2p connection.

import NIOCore
import Netstack
import NetstackLibP2P

/// Two hosts on one event loop, joined by a TCP connection over the kernel's loopback.
struct LibP2PChannels: ChannelTransport {
    private static let protocolID = "/vni-bench/1.0.0"

    private let client = LibP2PHost()
    private let server = LibP2PHost()

    func serve(_ initializer: @escaping Initializer) async throws -> SocketAddress {
        await server.allow(client.peerID)
        // Handlers are added at once: their future has succeeded.
        await server.handle(Self.protocolID) { channel, _ in _ = initializer(channel) }
        let address = try await server.listen(on: Multiaddr("/ip4/127.0.0.1/tcp/0"))
        guard let port = address.port else { throw ChannelError.unknownLocalAddress }
        return try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))
    }

    func connect(to server: SocketAddress, _ initializer: @escaping Initializer) async throws -> any Channel {
        let address = try Multiaddr("/ip4/127.0.0.1/tcp/\(server.port ?? 0)/p2p/\(self.server.peerID)")
        return try await client.openStream(to: address, protocols: [Self.protocolID]) { channel, _, _ in
            _ = initializer(channel)
            return channel
        }
    }
}
