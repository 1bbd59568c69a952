// The main job: an entrance dials, packets cross a link, and the exit's real peers answer.

import Crypto
import Glibc
import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

/// Every link kind with every IP version.
private let everyWay = LinkKind.all.flatMap { kind in [IPVersion.v4, .v6].map { (kind, $0) } }

extension SHA256 {
    fileprivate mutating func update(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { update(bufferPointer: $0) }
    }
}

@Suite struct TunnelTests {
    @Test(arguments: everyWay)
    func carriesARequestAndItsResponse(_ kind: LinkKind, _ version: IPVersion) async throws {
        let server = try KernelServer.echo(version)
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            try await connection.write("hello")
            #expect(try await connection.read(exactly: 5) == ByteBuffer(string: "hello"))
            try await connection.closeWrite()
            #expect(try await connection.read() == nil)
        }
    }

    @Test(arguments: everyWay)
    func carries256MiBEachWay(_ kind: LinkKind, _ version: IPVersion) async throws {
        let total = 256 << 20
        // The server answers what it got with its digest, then sends as much itself.
        let server = try KernelServer(version) { socket in
            var hash = SHA256()
            while let bytes = try socket.read() { hash.update(bytes) }
            try socket.write(ByteBuffer(bytes: hash.finalize()))
            for offset in stride(from: 0, to: total, by: 1 << 18) { try socket.write(pattern(1 << 18, from: offset)) }
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            var sent = SHA256()
            for offset in stride(from: 0, to: total, by: 1 << 18) {
                let bytes = pattern(1 << 18, from: offset)
                sent.update(bytes)
                try await connection.write(bytes)
            }
            try await connection.closeWrite()
            let digest = ByteBuffer(bytes: sent.finalize())
            #expect(try await connection.read(exactly: 32) == digest)
            var received = SHA256()
            var count = 0
            while let bytes = try await connection.read() {
                received.update(bytes)
                count += bytes.readableBytes
            }
            #expect(count == total)
            #expect(ByteBuffer(bytes: received.finalize()) == digest)
        }
    }

    @Test(arguments: everyWay)
    func carries200ConnectionsAtOnce(_ kind: LinkKind, _ version: IPVersion) async throws {
        let server = try KernelServer.echo(version)
        try await Tunnel.with(kind) { tunnel in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let connection = try await tunnel.connect(version, port: server.port)
                        let bytes = pattern(20_000, from: index)
                        try await connection.write(bytes)
                        try await connection.closeWrite()
                        #expect(try await connection.readToEnd() == bytes)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: everyWay)
    func theServerSeesTheEndAndItsReplyArrives(_ kind: LinkKind, _ version: IPVersion) async throws {
        let server = try KernelServer(version) { socket in
            let request = try socket.readToEnd()
            // Only now, after the client's end, is there a reply.
            try socket.write("got \(request.readableBytes)")
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            try await connection.write(pattern(100_000))
            try await connection.closeWrite()
            #expect(try await connection.readToEnd() == ByteBuffer(string: "got 100000"))
        }
    }

    @Test(arguments: everyWay)
    func theClientSeesTheEndAndItsReplyArrives(_ kind: LinkKind, _ version: IPVersion) async throws {
        let (replies, reply) = AsyncStream.makeStream(of: ByteBuffer.self)
        let server = try KernelServer(version) { socket in
            try socket.write("the server has said all")
            socket.closeWrite()
            reply.yield(try socket.readToEnd())
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            #expect(try await connection.readToEnd() == ByteBuffer(string: "the server has said all"))
            try await connection.write(pattern(200_000))
            try await connection.closeWrite()
            #expect(await replies.first { _ in true } == pattern(200_000))
        }
    }

    /// Two stacks on one loop make each other work without end; the loop must look at its sockets all the same.
    @Test func aDialSucceedsWhileOthersUpload() async throws {
        let sink = try KernelServer(.v4) { socket in while try socket.read() != nil {} }
        let echo = try KernelServer.echo(.v4)
        try await Tunnel.with(.memory) { tunnel in
            try await withThrowingTaskGroup(of: Void.self) { uploads in
                for _ in 0..<4 {
                    let connection = try await tunnel.connect(.v4, port: sink.port)
                    uploads.addTask {
                        let bytes = pattern(1 << 16)
                        while !Task.isCancelled {
                            do { try await connection.write(bytes) } catch is CancellationError { break }
                        }
                        await connection.reset()
                    }
                }
                for _ in 0..<20 {
                    let connection = try await tunnel.connect(.v4, port: echo.port)
                    try await connection.write("hello")
                    try await connection.closeWrite()
                    #expect(try await connection.readToEnd() == ByteBuffer(string: "hello"))
                }
                uploads.cancelAll()
            }
        }
    }

    @Test(arguments: everyWay)
    func aClosedPortIsRefused(_ kind: LinkKind, _ version: IPVersion) async throws {
        let port = try closedPort()
        try await Tunnel.with(kind) { tunnel in
            let address = TransportAddress(Tunnel.host(version), port)
            await #expect(throws: NetstackError.refused(address)) {
                try await tunnel.entrance.stack.connect(to: address)
            }
        }
    }

    @Test(arguments: everyWay)
    func whatIsNotExposedIsProhibited(_ kind: LinkKind, _ version: IPVersion) async throws {
        let server = try KernelServer.echo(version)
        try await Tunnel.with(kind) { tunnel in
            let outside = try IPAddress(version == .v4 ? "192.168.1.2" : "fd11::2")
            let address = TransportAddress(outside, server.port)
            await #expect(throws: NetstackError.prohibited(address)) {
                try await tunnel.entrance.stack.connect(to: address)
            }
            tunnel.exit.removeRoutes([CIDRBlock(Tunnel.host(version))])
            let removed = TransportAddress(Tunnel.host(version), server.port)
            await #expect(throws: NetstackError.prohibited(removed)) {
                try await tunnel.entrance.stack.connect(to: removed)
            }
        }
    }

    @Test(arguments: everyWay)
    func aServersResetIsAReset(_ kind: LinkKind, _ version: IPVersion) async throws {
        let server = try KernelServer(version) { socket in
            try socket.write("so far so good")
            _ = try socket.read()
            socket.resetOnClose()
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            #expect(try await connection.read(exactly: 14) == ByteBuffer(string: "so far so good"))
            try await connection.write("now reset")
            await #expect(throws: NetstackError.connectionReset) { try await connection.read() }
        }
    }

    @Test(arguments: everyWay)
    func aClientsResetIsAReset(_ kind: LinkKind, _ version: IPVersion) async throws {
        let (codes, code) = AsyncStream.makeStream(of: CInt?.self)
        let server = try KernelServer(version) { socket in
            do {
                _ = try socket.read()
                try socket.write("go on")
                _ = try socket.read()
                code.yield(nil)
            } catch let error as KernelError {
                code.yield(error.code)
            }
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(version, port: server.port)
            try await connection.write("hello")
            _ = try await connection.read(exactly: 5)
            await connection.reset()
            #expect(await codes.first { _ in true } == ECONNRESET)
        }
    }

    @Test(arguments: everyWay)
    func carriesDatagramsUpTo65507Bytes(_ kind: LinkKind, _ version: IPVersion) async throws {
        let peer = try KernelEchoSocket(version)
        for mtu in [1500, 65535] {
            try await Tunnel.with(kind, mtu: mtu) { tunnel in
                let socket = try await tunnel.entrance.stack.openUDP()
                let address = TransportAddress(Tunnel.host(version), peer.port)
                for size in [0, 1, 1400, 1500, 9000, UDPDatagram.maximumPayload] {
                    try await socket.send(pattern(size), to: address)
                    let reply = try await socket.receive()
                    #expect(reply.source == address)
                    #expect(reply.payload == pattern(size))
                }
            }
        }
    }

    @Test(arguments: LinkKind.all)
    func aClosedUDPPortIsToldAsSuch(_ kind: LinkKind) async throws {
        let port = try closedPort()
        try await Tunnel.with(kind) { tunnel in
            let socket = try await tunnel.entrance.stack.openUDP()
            let address = TransportAddress(Tunnel.host, port)
            try await socket.send(ByteBuffer(string: "anyone?"), to: address)
            await #expect(throws: NetstackError.unreachable(address, .port)) { try await socket.receive() }
        }
    }

    @Test(arguments: LinkKind.all)
    func shuttingDownTheExitEndsATransferAtTheEntrance(_ kind: LinkKind) async throws {
        try await interrupt(kind) { await $0.exit.shutdown() }
    }

    @Test(arguments: LinkKind.all)
    func shuttingDownTheEntranceEndsATransferAtTheServer(_ kind: LinkKind) async throws {
        try await interrupt(kind) { await $0.entrance.shutdown() }
    }

    /// Ends one side in the middle of a download without end: the client gets an error, and the server a broken connection.
    private func interrupt(_ kind: LinkKind, _ end: @Sendable (Tunnel) async -> Void) async throws {
        let (ends, ended) = AsyncStream.makeStream(of: Void.self)
        let server = try KernelServer { socket in
            defer { ended.yield() }
            while true { try socket.write(pattern(1 << 16)) }
        }
        try await Tunnel.with(kind) { tunnel in
            let connection = try await tunnel.connect(port: server.port)
            _ = try await connection.read(exactly: 1 << 20)
            await end(tunnel)
            await #expect(throws: NetstackError.self) { while try await connection.read() != nil {} }
            _ = await ends.first { _ in true }
        }
    }

    @Test func loopbackIsNeverDialledThroughATunnel() async throws {
        let server = try KernelServer.echo()
        try await Tunnel.with(.memory) { tunnel in
            try tunnel.exit.exposeRoutes(["127.0.0.0/8", "::1"])
            for text in ["127.0.0.1:\(server.port)", "[::1]:\(server.port)"] {
                let address = try TransportAddress(text)
                await #expect(
                    throws: NetstackError.addressNotAvailable(address.address, reason: "it is a loopback address")
                ) {
                    try await tunnel.entrance.stack.connect(to: address)
                }
            }
        }
    }

    @Test func routesCanBeExposedAtAnExitOnly() async throws {
        try await Tunnel.with(.memory) { tunnel in
            let (eight, one, loopback) = try (CIDRBlock("10.0.0.0/8"), CIDRBlock("10.0.0.1/32"), IPAddress("::1"))
            #expect(throws: VNIError.notAnExit) { try tunnel.entrance.exposeRoutes(["10.0.0.0/8"]) }
            #expect(throws: NetstackError.self) { try tunnel.exit.exposeRoutes(["10.0.0.0/8", "10.0.0.0/33"]) }
            #expect(throws: VNIError.targetNeedsSingleAddress(eight)) {
                try tunnel.exit.exposeRoute("10.0.0.0/8", to: "127.0.0.1")
            }
            #expect(throws: VNIError.versionMismatch(one, target: loopback)) {
                try tunnel.exit.exposeRoute("10.0.0.1/32", to: "::1")
            }
        }
    }

    /// A dial that is in the link already when the exit comes finds what the exit exposes.
    @Test func whatAnExitExposesIsThereBeforeItsFirstPacket() async throws {
        let server = try KernelServer.echo()
        let dialled = TransportAddress(.v4(IPv4Address(192, 168, 7, 7)), server.port)
        let (near, far) = MemoryLink.pipe()
        let entrance = try await VirtualInterface(.quiet(.entrance), link: near, stack: StacksUnderTest.near)
        async let connection = entrance.stack.connect(to: dialled)
        while try await entrance.stack.statistics(of: VirtualInterface.nic).packetsSent == 0 { await Task.yield() }
        let route = try ExposedRoute(CIDRBlock(dialled.address), to: IPAddress("127.0.0.1"))
        let exit = try await VirtualInterface(
            .quiet(.exit), link: far, stack: StacksUnderTest.far, exposing: [route]
        ) { stack in try stack.addRoute(to: CIDRBlock("10.0.0.0/8"), via: VirtualInterface.nic) }
        #expect(await exit.stack.routes.count == 3)
        let echo = try await connection
        try await echo.write(ByteBuffer(string: "there"))
        try await echo.closeWrite()
        #expect(try await echo.readToEnd() == ByteBuffer(string: "there"))
        await entrance.shutdown()
        await exit.shutdown()
    }

    @Test(arguments: [0, 575, 65536, -1])
    func anMTUOutOfRangeIsAnError(_ mtu: Int) async throws {
        await #expect(throws: NetstackError.mtuOutOfRange(mtu, range: 576...65535)) {
            try await VirtualInterface(.init(mode: .entrance, mtu: mtu), link: MemoryLink.pipe().0)
        }
    }
}
