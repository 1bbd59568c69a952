// The second process of a tunnel: an exit at the listening end of a stream link.

import Glibc
import NIOCore
import Netstack
import NetstackLinks
import VNI

package enum ExitProcess {
    package enum LinkKind: String, Sendable, CaseIterable {
        case tcp, unix
    }

    /// Listens, prints where on a line of its own, and forwards for the first link until that ends. A second line tells
    /// that it does.
    package static func run(_ kind: LinkKind, mtu: Int) async throws {
        let path = "/tmp/vni-bench-\(getpid()).sock"
        let listener: StreamLinkListener
        switch kind {
        case .tcp:
            listener = try await StreamLink.listen(host: "127.0.0.1", port: 0)
            print(listener.localAddress?.port ?? 0)
        case .unix:
            unlink(path)
            listener = try await StreamLink.listen(unixDomainSocketPath: path)
            print(path)
        }
        fflush(nil)
        for await link in listener {
            unlink(path)
            let exit = try await Tunnel.exit(link, mtu: mtu)
            print("open")
            fflush(nil)
            try? await exit.waitForLinkEnd()
            await exit.shutdown()
            break
        }
        await listener.close()
    }
}
