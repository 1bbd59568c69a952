// Between multiaddrs and the addresses of sockets.

import Glibc
package import NIOCore
import NIOPosix
package import Netstack

package enum HostAddress {
    /// Whom a connection from there counts for: the address, or with IPv6 the /64 that a host may choose addresses from
    /// (RFC 7934). Nil if it is not of an IP version.
    package static func source(_ address: SocketAddress) -> IPAddress? {
        guard case .v6(let ip)? = TransportAddress(address)?.address else { return TransportAddress(address)?.address }
        // A socket at `::` takes IPv4 as well.
        return ip.embeddedIPv4.map { .v4($0) } ?? .v6(IPv6Address(rawValue: ip.rawValue & ~UInt128(UInt64.max)))
    }

    /// Where a listener can be dialled. At `0.0.0.0` or `::` that is each address of that version that the machine has by
    /// now, as go-libp2p tells it; but for link-local ones, which mean nothing on another link.
    static func places(of listener: TransportAddress) -> [Multiaddr] {
        guard listener.address.isUnspecified else { return [Multiaddr(listener)] }
        let devices = (try? System.enumerateDevices()) ?? []
        return devices.compactMap { $0.address.flatMap(TransportAddress.init)?.address }
            .filter { $0.version == listener.address.version && !$0.isLinkLocal }
            .map { Multiaddr(TransportAddress($0, listener.port)) }
    }

    /// How many places a host tells its peers. One of IPv6 takes 22 bytes of an identify message, of which rust-libp2p reads
    /// 4 KiB and go-libp2p 8; a machine may have hundreds.
    private static let toldLimit = 64

    /// Which of a host's places to tell its peers: no more than they read. Loopback comes last, as few can dial it.
    package static func told(_ places: [Multiaddr]) -> [Multiaddr] {
        func isLoopback(_ place: Multiaddr) -> Bool {
            switch place.components.first {
            case .ip4(let ip): ip.isLoopback
            case .ip6(let ip): ip.isLoopback
            default: false
            }
        }
        return Array((places.filter { !isLoopback($0) } + places.filter(isLoopback)).prefix(toldLimit))
    }

    /// Looks up the name if it is one, off the event loop.
    ///
    /// - Returns: at least one.
    static func resolve(
        _ address: Multiaddr, within time: TimeAmount, on eventLoop: any EventLoop
    ) -> EventLoopFuture<[SocketAddress]> {
        if address.isDiallable, let port = address.port {
            switch address.components.first {
            case .ip4(let ip):
                return eventLoop.makeCompletedFuture { try [TransportAddress(.v4(ip), port).socketAddress()] }
            case .ip6(let ip):
                return eventLoop.makeCompletedFuture { try [TransportAddress(.v6(ip), port).socketAddress()] }
            case .dns4(let name): return look(up: name, AF_INET, port, for: address, within: time, on: eventLoop)
            case .dns6(let name): return look(up: name, AF_INET6, port, for: address, within: time, on: eventLoop)
            case .tcp, .p2p, nil: break
            }
        }
        return eventLoop.makeFailedFuture(
            LibP2PError.malformed(
                kind: "place to dial", text: "\(address)",
                fault: "it needs an IP address or a name, then a TCP port, and maybe a peer"))
    }

    private static func look(
        up name: String, _ family: CInt, _ port: UInt16, for place: Multiaddr, within time: TimeAmount,
        on eventLoop: any EventLoop
    ) -> EventLoopFuture<[SocketAddress]> {
        let result = eventLoop.makePromise(of: [SocketAddress].self)
        // The resolver itself can't be stopped.
        let timer = eventLoop.scheduleTask(in: time) { result.fail(LibP2PError.timedOut(what: "a lookup of \(name)")) }
        result.futureResult.whenComplete { _ in timer.cancel() }
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try look(up: name, family, port, for: place) }
            .cascade(to: result)
        return result.futureResult
    }

    private static func look(
        up name: String, _ family: CInt, _ port: UInt16, for place: Multiaddr
    ) throws -> [SocketAddress] {
        let addresses: [IPAddress]
        do throws(HostNameFailure) {
            addresses = try IPAddress.addresses(ofHost: name, family: family)
        } catch {
            throw LibP2PError.unreachable(place, reason: String(cString: gai_strerror(error.code)))
        }
        guard !addresses.isEmpty else { throw LibP2PError.unreachable(place, reason: "\(name) has no address") }
        return try addresses.map { try TransportAddress($0, port).socketAddress() }
    }
}
