// Links over byte streams, links of users' own, and how links end.

import Glibc
import NIOCore
import NIOPosix
import Netstack
import NetstackLinks
import TestSupport
import Testing
import VNI

@Suite struct StreamFramingTests {
    /// A packet of each version, and what stands between them: nothing.
    private static let packets: [ByteBuffer] = {
        var packets: [ByteBuffer] = []
        for size in [0, 1, 100, 1400, 65_000] {
            for version in [IPVersion.v4, .v6] {
                var packet = ByteBuffer()
                let addresses =
                    version == .v4
                    ? (StackPair.nearAddress, StackPair.farAddress) : (StackPair.nearAddress6, StackPair.farAddress6)
                try? UDPHeader.write(
                    pattern(size), from: TransportAddress(addresses.0, 1), to: TransportAddress(addresses.1, 2),
                    into: &packet)
                packets.append(packet)
            }
        }
        return packets
    }()

    @Test(arguments: [1, 2, 3, 7, 41, 1000, 65536, 1 << 20])
    func findsThePacketsHoweverTheStreamIsCut(_ piece: Int) throws {
        var stream = ByteBuffer()
        for packet in Self.packets { stream.writeImmutableBuffer(packet) }
        var framing = StreamFraming()
        var found: [ByteBuffer] = []
        while let bytes = stream.readSlice(length: min(piece, stream.readableBytes)), bytes.readableBytes > 0 {
            found += try framing.packets(adding: bytes)
        }
        #expect(found == Self.packets)
        #expect(framing.faultAtEnd == nil)
    }

    @Test(arguments: [[0x00], [0x50, 0, 0], [0x44, 0, 0, 40], [0x45, 0, 0, 19], [0xff]] as [[UInt8]])
    func aLengthThatCannotBeTrueIsAnError(_ bytes: [UInt8]) {
        var framing = StreamFraming()
        let error = #expect(throws: NetstackError.self) { try framing.packets(adding: ByteBuffer(bytes: bytes)) }
        guard case .framing? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func anEndInTheMiddleOfAPacketIsAFault() throws {
        var framing = StreamFraming()
        let part = try #require(Self.packets[4].getSlice(at: 0, length: 30))
        #expect(try framing.packets(adding: part).isEmpty)
        #expect(framing.faultAtEnd == .framing(fault: "the stream ended 30 bytes into a packet"))
    }
}

/// A link in a few lines, as a user would write it: through async calls, a packet at a time.
private struct PlainLink: Link {
    let (near, far): (MemoryLink, MemoryLink)
    func read() async throws -> ByteBuffer? { try await near.read() }
    func write(_ packet: ByteBuffer) async throws { try await near.write(packet) }
    func close() async { await near.close() }
}

private struct Broken: Error, CustomStringConvertible {
    var description: String { "the cable was cut" }
}

/// Works until it is told to break.
private struct BrokenLink: Link {
    let breaks: AsyncStream<Void>
    func read() async throws -> ByteBuffer? {
        _ = await breaks.first { _ in true }
        throw Broken()
    }
    func write(_ packet: ByteBuffer) async throws {}
}

@Suite struct LinkTests {
    @Test func aLinkOfAUsersOwnCarriesATunnel() async throws {
        let server = try KernelServer.echo()
        let pipe = MemoryLink.pipe()
        let exit = try await VirtualInterface(
            .quiet(.exit), link: PlainLink(near: pipe.0, far: pipe.1), stack: StacksUnderTest.far)
        let entrance = try await VirtualInterface(
            .quiet(.entrance), link: PlainLink(near: pipe.1, far: pipe.0), stack: StacksUnderTest.near)
        try exit.exposeRoute("192.168.1.1/32", to: "127.0.0.1")
        let connection = try await entrance.stack.connect(to: TransportAddress("192.168.1.1:\(server.port)"))
        async let sent: Void = {
            try await connection.write(pattern(4 << 20))
            try await connection.closeWrite()
        }()
        #expect(try await connection.readToEnd() == pattern(4 << 20))
        try await sent
        await entrance.shutdown()
        // The end of the link has crossed it.
        try await exit.waitForLinkEnd()
        await exit.shutdown()
    }

    @Test func aBrokenLinkIsReportedAndEndsItsConnections() async throws {
        let (breaks, breakNow) = AsyncStream.makeStream(of: Void.self)
        let interface = try await VirtualInterface(.quiet(.entrance), link: BrokenLink(breaks: breaks))
        let dial = Task { try await interface.stack.connect(to: TransportAddress("10.0.0.1:80")) }
        while await interface.stack.connectionCount == 0 { await Task.yield() }
        let waiting = Task { try await interface.waitForLinkEnd() }
        breakNow.yield()
        let down = NetstackError.linkDown(reason: "the cable was cut")
        await #expect(throws: down) { try await dial.value }
        await #expect(throws: down) { try await waiting.value }
        await #expect(throws: down) { try await interface.waitForLinkEnd() }
        await #expect(throws: down) { try await interface.stack.connect(to: TransportAddress("10.0.0.1:80")) }
        await interface.shutdown()
    }

    @Test(arguments: [LinkKind.tcp, .unix])
    func theEndOfOneSideIsTheEndOfTheOther(_ kind: LinkKind) async throws {
        try await Tunnel.with(kind) { tunnel in
            await tunnel.entrance.shutdown()
            try await tunnel.exit.waitForLinkEnd()
        }
    }

    @Test func aStreamThatIsNotOneOfPacketsEndsTheLinkWithTheReason() async throws {
        // A server that speaks something else.
        let server = try KernelServer { socket in
            try socket.write("SSH-2.0-OpenSSH_9.2\r\n")
            _ = try socket.readToEnd()
        }
        let link = try await StreamLink.connect(host: "127.0.0.1", port: Int(server.port))
        let interface = try await VirtualInterface(.quiet(.entrance), link: link)
        let error = await #expect(throws: NetstackError.self) { try await interface.waitForLinkEnd() }
        #expect(error?.description.contains("the byte stream does not hold IP packets") == true)
        await interface.shutdown()
    }

    @Test func aStreamLinkCanBeReadAndWrittenByHand() async throws {
        let listener = try await StreamLink.listen(host: "127.0.0.1", port: 0)
        async let accepted = listener.first { _ in true }
        let near = try await StreamLink.connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0)
        let far = try #require(await accepted)
        var packet = ByteBuffer()
        try UDPHeader.write(
            pattern(3000), from: TransportAddress("10.0.0.1:1"), to: TransportAddress("10.0.0.2:2"), into: &packet)
        for _ in 0..<100 { try await near.write(packet) }
        for _ in 0..<100 { #expect(try await far.read() == packet) }
        await near.close()
        #expect(try await far.read() == nil)
        await #expect(throws: NetstackError.linkDown(reason: nil)) { try await far.write(packet) }
        await listener.close()
    }

    @Test func aReaderThatWaitsIsCancelled() async throws {
        let (near, far) = MemoryLink.pipe()
        let reading = Task { try await near.read() }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        try await far.write(ByteBuffer(bytes: [0x45]))
        #expect(try await near.read() == ByteBuffer(bytes: [0x45]))
    }
}
