// Two stacks joined by a memory link.

package import NIOCore
package import Netstack
import Testing

/// A near stack and a far one, each with one NIC and an address of each IP version.
package struct StackPair: Sendable {
    package static let nearAddress = IPAddress.v4(IPv4Address(10, 0, 0, 1))
    package static let farAddress = IPAddress.v4(IPv4Address(10, 0, 0, 2))
    package static let nearAddress6 = IPAddress.v6(IPv6Address(rawValue: 0xfd << 120 | 1))
    package static let farAddress6 = IPAddress.v6(IPv6Address(rawValue: 0xfd << 120 | 2))

    package let near: Stack
    package let far: Stack

    package init(
        mtu: Int = 65535, limits: Stack.Limits = .init(), farPromiscuous: Bool = false,
        nearLoop: any EventLoop = Stack.defaultEventLoop, farLoop: any EventLoop = Stack.defaultEventLoop
    ) async throws {
        near = try Stack(limits: limits, on: nearLoop)
        far = try Stack(limits: limits, on: farLoop)
        let (a, b) = MemoryLink.pipe()
        try await near.createNIC(1, link: a, addresses: [Self.nearAddress, Self.nearAddress6], mtu: mtu)
        try await far.createNIC(
            1, link: b, addresses: [Self.farAddress, Self.farAddress6], mtu: mtu, promiscuous: farPromiscuous,
            spoofing: farPromiscuous)
        for stack in [near, far] {
            try await stack.addRoute(to: .everyIPv4, via: 1)
            try await stack.addRoute(to: .everyIPv6, via: 1)
        }
    }

    /// The far stack's address of a version.
    package static func far(_ version: IPVersion) -> IPAddress { version == .v4 ? farAddress : farAddress6 }

    /// A connection in each of the two stacks, joined.
    package func connected(_ version: IPVersion = .v4) async throws -> (TCPConnection, TCPConnection) {
        let listener = try await far.listen(port: 0)
        async let accepted = listener.first { _ in true }
        let near = try await near.connect(to: TransportAddress(Self.far(version), listener.localAddress.port))
        let far = try #require(await accepted)
        await listener.close()
        return (near, far)
    }

    /// Runs `body` and shuts both stacks down; nothing may be left by then but what the shutdown itself ends.
    package static func with(
        mtu: Int = 65535, limits: Stack.Limits = .init(), farPromiscuous: Bool = false,
        _ body: @Sendable (StackPair) async throws -> Void
    ) async throws {
        let pair = try await StackPair(mtu: mtu, limits: limits, farPromiscuous: farPromiscuous)
        do {
            try await body(pair)
        } catch {
            await pair.shutdown()
            throw error
        }
        await pair.shutdown()
        #expect(await pair.near.connectionCount == 0)
        #expect(await pair.far.connectionCount == 0)
    }

    package func shutdown() async {
        await near.shutdown()
        await far.shutdown()
    }
}

extension TCPConnection {
    /// All the peer sends until its end.
    package func readToEnd() async throws -> ByteBuffer {
        var all = ByteBuffer()
        while let bytes = try await read() { all.writeImmutableBuffer(bytes) }
        return all
    }

    /// Exactly `count` bytes.
    package func read(exactly count: Int) async throws -> ByteBuffer {
        var all = ByteBuffer()
        while all.readableBytes < count {
            all.writeImmutableBuffer(try #require(await read(upTo: count - all.readableBytes)))
        }
        return all
    }

    package func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }
}

/// Bytes that repeat after a prime number of them, so that a shifted or lost part shows.
package func pattern(_ count: Int, from offset: Int = 0) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(count)
    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
        var value = offset % 251
        for index in 0..<count {
            bytes[index] = UInt8(truncatingIfNeeded: value)
            value = value == 250 ? 0 : value + 1
        }
        return count
    }
    return buffer
}
