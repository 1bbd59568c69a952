// The second process of a tunnel: an exit at the listening end of a link.

import Glibc
import NIOCore
import Netstack
package import NetstackLibP2P
import NetstackLinks
import SwiftStack
import VNI

package enum ExitProcess {
    package enum LinkKind: String, Sendable, CaseIterable {
        case tcp, unix, libp2p
    }

    /// What does TCP at both ends of the tunnel.
    package enum StackKind: String, Sendable, CaseIterable {
        case lwip, swift

        var implementation: TCPImplementation { self == .lwip ? .lwIP : .swift }
    }

    /// Listens, prints where on a line of its own, and forwards for the first link until that ends. A second line tells
    /// that it does.
    ///
    /// - Parameter peer: the entrance, where the link is one of libp2p.
    package static func run(_ stack: StackKind, over kind: LinkKind, mtu: Int, peer: PeerID?) async throws {
        if kind == .libp2p { return try await run(stack, overLibP2PFrom: peer, mtu: mtu) }
        let path = "/tmp/vni-bench-\(getpid()).sock"
        let listener: StreamLinkListener
        if kind == .tcp {
            listener = try await StreamLink.listen(host: "127.0.0.1", port: 0)
            print(listener.localAddress?.port ?? 0)
        } else {
            unlink(path)
            listener = try await StreamLink.listen(unixDomainSocketPath: path)
            print(path)
        }
        fflush(nil)
        for await link in listener {
            unlink(path)
            try await forward(link, stack, mtu: mtu)
            break
        }
        await listener.close()
    }

    private static func run(_ stack: StackKind, overLibP2PFrom peer: PeerID?, mtu: Int) async throws {
        let host = LibP2PHost()
        if let peer { await host.allow(peer) }
        let (ended, end) = AsyncStream<Never>.makeStream()
        await host.acceptLinks { link, _ in
            defer { end.finish() }
            try await forward(link, stack, mtu: mtu)
        }
        print(try await host.listen(on: Multiaddr("/ip4/127.0.0.1/tcp/0")))
        fflush(nil)
        for await _ in ended {}
        await host.shutdown()
    }

    private static func forward(_ link: StreamLink, _ stack: StackKind, mtu: Int) async throws {
        let exit = try await Tunnel.exit(link, stack.implementation, mtu: mtu)
        print("open")
        fflush(nil)
        try? await exit.waitForLinkEnd()
        await exit.shutdown()
    }
}
