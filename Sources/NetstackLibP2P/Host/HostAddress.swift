// From a multiaddr to the address of a socket.

import Glibc
import NIOCore
import NIOPosix
import Netstack

enum HostAddress {
    /// Looks up the name if it is one, off the event loop.
    static func resolve(_ address: Multiaddr, on eventLoop: any EventLoop) -> EventLoopFuture<SocketAddress> {
        if address.isDiallable, let port = address.port {
            switch address.components.first {
            case .ip4(let ip):
                return eventLoop.makeCompletedFuture { try TransportAddress(.v4(ip), port).socketAddress() }
            case .ip6(let ip):
                return eventLoop.makeCompletedFuture { try TransportAddress(.v6(ip), port).socketAddress() }
            case .dns4(let name): return look(up: name, AF_INET, port, for: address, on: eventLoop)
            case .dns6(let name): return look(up: name, AF_INET6, port, for: address, on: eventLoop)
            case .tcp, .p2p, nil: break
            }
        }
        return eventLoop.makeFailedFuture(
            LibP2PError.malformed(
                kind: "place to dial", text: "\(address)",
                fault: "it needs an IP address or a name, then a TCP port, and maybe a peer"))
    }

    private static func look(
        up name: String, _ family: CInt, _ port: UInt16, for place: Multiaddr, on eventLoop: any EventLoop
    ) -> EventLoopFuture<SocketAddress> {
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            var hints = addrinfo()
            hints.ai_family = family
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let code = getaddrinfo(name, "\(port)", &hints, &list)
            defer { if let list { freeaddrinfo(list) } }
            guard code == 0, let first = list?.pointee, let address = first.ai_addr else {
                throw LibP2PError.unreachable(place, reason: String(cString: gai_strerror(code)))
            }
            // The list lives until this returns, and its family says what it points to.
            if family == AF_INET {
                return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { SocketAddress($0.pointee) }
            }
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { SocketAddress($0.pointee) }
        }
    }
}
