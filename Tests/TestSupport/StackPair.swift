// Two stacks joined by a link.

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
        nearLoop: any EventLoop = Stack.defaultEventLoop, farLoop: any EventLoop = Stack.defaultEventLoop,
        link: LinkKind = .memory
    ) async throws {
        near = try Stack(StacksUnderTest.near, limits: limits, on: nearLoop)
        far = try Stack(StacksUnderTest.far, limits: limits, on: farLoop)
        let (a, b) = try await link.pipe()
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
        on loop: any EventLoop = Stack.defaultEventLoop, link: LinkKind = .memory,
        _ body: @Sendable (StackPair) async throws -> Void
    ) async throws {
        let pair = try await StackPair(
            mtu: mtu, limits: limits, farPromiscuous: farPromiscuous, nearLoop: loop, farLoop: loop, link: link)
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

/// `count` bytes of the sequence 0, 1, … 250, 0, … from its position `offset`. Its period is a prime number, so that a
/// part that is shifted or lost shows.
package func pattern(_ count: Int, from offset: Int = 0) -> ByteBuffer {
    var buffer = ByteBuffer()
    var start = offset % 251
    while buffer.readableBytes < count {
        let length = min(count - buffer.readableBytes, patternBlock.readableBytes - start)
        guard let slice = patternBlock.getSlice(at: start, length: length) else { break }
        if length == count { return slice }
        buffer.writeImmutableBuffer(slice)
        start = 0
    }
    return buffer
}

/// A whole number of periods.
private let patternBlock: ByteBuffer = {
    let period = (0..<251).map { UInt8($0) }
    var block = ByteBuffer()
    for _ in 0..<2048 { block.writeBytes(period) }
    return block
}()
