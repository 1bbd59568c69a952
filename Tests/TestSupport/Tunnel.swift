// An entrance and an exit, joined by a link of either kind.

import Glibc
import Logging
import NIOCore
import NetstackLinks
package import Netstack
import Testing
package import VNI

extension IPAddress {
    package static func loopback(_ version: IPVersion) -> IPAddress { version == .v4 ? .v4(.loopback) : .v6(.loopback) }
}

/// What joins the two ends.
package enum LinkKind: String, Sendable, CustomTestStringConvertible {
    case memory, tcp, unix
    /// A memory link, too, but over it no segment goes whole.
    case packets

    /// One of each implementation.
    package static let all: [LinkKind] = [.memory, .tcp, .unix]

    package var testDescription: String { rawValue }

    /// Both ends of a new link.
    package func pipe() async throws -> (any Link, any Link) {
        if self == .memory || self == .packets { return MemoryLink.pipe(offloading: self == .memory) }
        let path = "/tmp/rns-\(getpid())-\(UInt64.random(in: 0...UInt64.max)).sock"
        let listener =
            self == .tcp
            ? try await StreamLink.listen(host: "127.0.0.1", port: 0)
            : try await StreamLink.listen(unixDomainSocketPath: path)
        async let accepted = listener.first { _ in true }
        let connected =
            self == .tcp
            ? try await StreamLink.connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0)
            : try await StreamLink.connect(unixDomainSocketPath: path)
        let other = try #require(await accepted)
        await listener.close()
        unlink(path)
        return (connected, other)
    }
}

extension VirtualInterface.Configuration {
    /// One that logs nothing.
    package static func quiet(_ mode: VirtualInterface.Mode, mtu: Int? = nil) -> Self {
        Self(mode: mode, mtu: mtu, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

package struct Tunnel: Sendable {
    /// The tunnel's addresses for the exit host's loopback.
    package static let host = IPAddress.v4(IPv4Address(192, 168, 1, 1))
    package static let host6 = IPAddress.v6(IPv6Address(rawValue: 0xfd11 << 112 | 1))

    package let entrance: VirtualInterface
    package let exit: VirtualInterface

    package static func host(_ version: IPVersion) -> IPAddress { version == .v4 ? host : host6 }

    /// - Parameter configure: changes the configuration of the exit.
    package init(
        _ kind: LinkKind, mtu: Int? = nil, limits: Stack.Limits = .init(),
        exit configure: (inout VirtualInterface.Configuration) -> Void = { _ in }
    ) async throws {
        var near = VirtualInterface.Configuration.quiet(.entrance, mtu: mtu)
        var far = VirtualInterface.Configuration.quiet(.exit, mtu: mtu)
        near.limits = limits
        far.limits = limits
        configure(&far)
        let (a, b) = try await kind.pipe()
        entrance = try await VirtualInterface(near, link: a, stack: StacksUnderTest.near)
        exit = try await VirtualInterface(far, link: b, stack: StacksUnderTest.far)
        for host in [Self.host, Self.host6] { try exit.exposeRoute(CIDRBlock(host), to: .loopback(host.version)) }
    }

    /// Runs `body`, shuts both ends down, and shows that neither stack holds a connection by then, and the exit no flow.
    package static func with(
        _ kind: LinkKind, mtu: Int? = nil, limits: Stack.Limits = .init(),
        exit configure: (inout VirtualInterface.Configuration) -> Void = { _ in },
        _ body: @Sendable (Tunnel) async throws -> Void
    ) async throws {
        let tunnel = try await Tunnel(kind, mtu: mtu, limits: limits, exit: configure)
        do {
            try await body(tunnel)
        } catch {
            await tunnel.shutdown()
            throw error
        }
        await tunnel.shutdown()
        #expect(await tunnel.entrance.stack.connectionCount == 0)
        #expect(await tunnel.exit.stack.connectionCount == 0)
        while await tunnel.exit.exitStatistics.map({ $0.connections + $0.udpFlows + $0.echoFlows }) != 0 {
            await Task.yield()
        }
    }

    package func shutdown() async {
        await entrance.shutdown()
        await exit.shutdown()
    }

    /// Dials a port of the exit host's loopback.
    package func connect(_ version: IPVersion = .v4, port: UInt16) async throws -> TCPConnection {
        try await entrance.stack.connect(to: TransportAddress(Self.host(version), port))
    }
}
