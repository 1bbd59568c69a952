// Our host and py-libp2p's: each dials, each listens, and each misbehaves.

import Crypto
import HTTPTypes
import NIOCore
import Netstack
import NetstackHTTP
import NetstackLibP2P
import NetstackLinks
import TestSupport
import Testing
import VNI

// One at a time: py-libp2p gives up where a busy machine keeps it from its window for five seconds.
@Suite(.serialized) struct InteropTests {
    /// Bytes each way in a bulk transfer.
    private static let bulk = 100_000_000

    /// Runs `body` with a host that listens and lets in a Python peer that listens, and shows that nothing stays.
    private func withPeers(
        _ version: IPVersion = .v4, limits: LibP2PHost.Limits = .init(),
        _ body: (_ host: LibP2PHost, _ peer: PythonPeer, _ place: Multiaddr, _ peerPlace: Multiaddr) async throws ->
            Void
    ) async throws {
        let host = LibP2PHost(configuration: .quiet(limits))
        let place = try await host.listen(on: .loopback(version))
        do {
            try await PythonPeer.with { peer in
                await host.allow(try PeerID(peer.id))
                let peerPlace = try await peer.listen(on: "\(Multiaddr.loopback(version))")
                try await body(host, peer, place, Multiaddr(peerPlace))
            }
        } catch {
            await host.shutdown()
            throw error
        }
        await host.shutdown()
        #expect(await host.connectedPeers.isEmpty)
        #expect(await host.streamCount == 0)
    }

    // MARK: Identify and ping

    @Test(arguments: [IPVersion.v4, .v6])
    func weAskPython(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, _, peerPlace in
            for _ in 0..<3 { #expect(try await host.ping(peerPlace) > .zero) }
            let identification = try await host.identify(peerPlace)
            #expect(identification.agentVersion == "py-libp2p/0.8.1")
            #expect(identification.protocols.contains(LibP2PHost.linkProtocol))
            let id = try PeerID(await peer.id)
            #expect(identification.listenAddresses.map { $0.appending(id) } == [peerPlace])
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func pythonAsksUs(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, place, _ in
            try await peer.ask("dial", ["address": .text("\(place)")])
            let times = try await peer.ask("ping", ["peer": .text("\(host.peerID)"), "count": 5])
            #expect(times["milliseconds"].list.count == 5)
            let identity = try await peer.ask("identify", ["peer": .text("\(host.peerID)")])
            #expect(identity["agent"].text == LibP2PHost.Configuration().agentVersion)
            #expect(identity["protocols"].list.contains("/ipfs/ping/1.0.0"))
        }
    }

    // MARK: Bytes

    @Test(arguments: [IPVersion.v4, .v6])
    func bulkGoesBothWaysOnAStreamOfOurs(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, _, peerPlace in
            let stream = try await host.openStream(to: peerPlace, protocols: ["/test/transfer/1"])
            try await stream.write(ByteBuffer(string: "\(Self.bulk) 3\n"))
            let received = try await exchange(stream, seed: 2, count: Self.bulk)
            #expect(received == SeededBytes.digest(seed: 3, count: Self.bulk))
            let ended = try await peer.event("ended") { $0["protocol"] == "/test/transfer/1" }
            #expect(ended["received"]["sha256"].text == SeededBytes.digest(seed: 2, count: Self.bulk))
            await stream.close()
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func bulkGoesBothWaysOnAStreamOfPythons(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, place, _ in
            await serveTransfer(host)
            try await peer.ask("dial", ["address": .text("\(place)")])
            let result = try await peer.ask(
                "transfer", ["peer": .text("\(host.peerID)"), "bytes": .number(Self.bulk), "seed": 2])
            #expect(result["sent"]["sha256"].text == SeededBytes.digest(seed: 2, count: Self.bulk))
            #expect(result["received"]["sha256"].text == SeededBytes.digest(seed: 3, count: Self.bulk))
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func twentyStreamsAtOnce(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, place, peerPlace in
            await host.handle("/test/echo/1") { stream in
                while let bytes = try await stream.read() { try await stream.write(bytes) }
            }
            try await peer.ask("dial", ["address": .text("\(place)")])
            async let theirs = peer.ask(
                "streams", ["peer": .text("\(host.peerID)"), "count": 20, "bytes": 1_000_000, "seed": 10])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        let stream = try await host.openStream(to: peerPlace, protocols: ["/test/echo/1"])
                        let received = try await exchange(stream, seed: UInt64(number), count: 1_000_000)
                        #expect(received == SeededBytes.digest(seed: UInt64(number), count: 1_000_000))
                        await stream.close()
                    }
                }
                try await group.waitForAll()
            }
            let results = try await theirs["results"].list
            #expect(results.count == 20)
            for (number, result) in results.enumerated() {
                #expect(result["received"] == result["sent"])
                #expect(
                    result["sent"]["sha256"].text == SeededBytes.digest(seed: UInt64(10 + number), count: 1_000_000))
            }
        }
    }

    @Test func aPeerThatStopsReadingHoldsUsBackAndGoesOn() async throws {
        try await withPeers { host, peer, _, peerPlace in
            let stream = try await host.openStream(to: peerPlace, protocols: ["/test/stall/1"])
            let count = 64_000_000
            let written = Counter()
            let writing = Task {
                for piece in SeededBytes(seed: 4, count: count) {
                    try await stream.write(ByteBuffer(bytes: piece))
                    written.add(piece.count)
                }
                try await stream.closeWrite()
            }
            let stalled = try await peer.event("stalled")
            // Longer than py-libp2p waits for a window, and than its window takes to fill.
            try await Task.sleep(for: .seconds(6))
            // Its window of up to 16 MiB and a little, and what sockets hold on the way: not all.
            #expect(written.value < count / 2)
            #expect(try await host.ping(peerPlace) > .zero)
            try await peer.ask("resume", ["stream": stalled["stream"]])
            try await writing.value
            let answer = try await stream.readToEnd()
            #expect(String(buffer: answer) == "\(SeededBytes.digest(seed: 4, count: count)) \(count)\n")
            await stream.close()
        }
    }

    // MARK: Ends

    @Test(arguments: ["rst", "fin", "reset", "go-away"])
    func aPeerThatDropsInTheMiddleIsAnError(_ how: String) async throws {
        try await withPeers { host, peer, _, peerPlace in
            try await peer.ask("configure", ["drop": 100_000, "how": .text(how)])
            let stream = try await host.openStream(to: peerPlace, protocols: ["/test/drop/1"])
            await #expect {
                for piece in SeededBytes(seed: 5, count: 50_000_000) {
                    try await stream.write(ByteBuffer(bytes: piece))
                }
            } throws: { error in
                switch how {
                case "rst", "fin": error as? LibP2PError == .disconnected
                case "reset": error as? LibP2PError == .streamReset
                default: error as? LibP2PError == .goAway(code: 0)
                }
            }
            #expect(try await host.ping(peerPlace) > .zero)
        }
    }

    @Test func aGoAwayInMidTransferEndsTheStreamsThatItLeaves() async throws {
        try await withPeers { host, peer, place, _ in
            let read = AsyncStream.makeStream(of: Result<ByteBuffer?, any Error>.self)
            await host.handle("/test/wait/1") { stream in
                _ = try await stream.read()
                read.continuation.yield(await Task { try await stream.read() }.result)
            }
            try await peer.ask("dial", ["address": .text("\(place)")])
            let stream = try await peer.open("/test/wait/1", to: "\(host.peerID)")
            try await peer.ask("write", ["stream": .number(stream), "hex": "00"])
            try await peer.ask("disconnect", ["peer": .text("\(host.peerID)")])
            let result = await read.stream.first { _ in true }
            #expect(throws: LibP2PError.goAway(code: 0)) { try result?.get() }
        }
    }

    @Test(arguments: [IPVersion.v4, .v6])
    func anotherPeerThanTheOneDialledIsAnError(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, place, peerPlace in
            let (other, found) = (LibP2PHost().peerID, try PeerID(await peer.id))
            await #expect(throws: LibP2PError.wrongPeer(expected: other, found: found)) {
                try await host.connect(to: peerPlace.appending(other))
            }
            let failure = await #expect(throws: PythonPeer.Failure.self) {
                try await peer.ask("dial", ["address": .text("\(place.appending(other))")])
            }
            #expect(failure?.text.contains("peer id does not correspond") == true)
        }
    }

    @Test func aPeerThatIsNotOnTheListGetsNothing() async throws {
        try await withPeers { host, peer, place, _ in
            await host.disallow(try PeerID(peer.id))
            await #expect(throws: PythonPeer.Failure.self) {
                try await peer.ask("dial", ["address": .text("\(place)")])
                try await peer.ask("ping", ["peer": .text("\(host.peerID)"), "count": 1])
            }
            #expect(await host.counters.peersRefused > 0)
            #expect(await host.connectedPeers.isEmpty)
        }
    }

    @Test func anUnknownProtocolIsAnErrorOnBothSides() async throws {
        try await withPeers { host, peer, place, peerPlace in
            await #expect(throws: LibP2PError.unsupportedProtocol(["/test/unknown/1"])) {
                try await host.openStream(to: peerPlace, protocols: ["/test/unknown/1"])
            }
            try await peer.ask("dial", ["address": .text("\(place)")])
            let failure = await #expect(throws: PythonPeer.Failure.self) {
                _ = try await peer.open("/test/unknown/1", to: "\(host.peerID)")
            }
            #expect(failure?.text.contains("response='na'") == true)
        }
    }

    // MARK: Garbage

    @Test(arguments: [
        "multistream", "security", "noise-1", "noise-3", "secure-multistream", "muxer", "yamux", "ciphertext",
        "signature",
        "identity", "empty-payload", "garbage-payload",
    ])
    func garbageOfADiallerEndsItsConnection(_ step: String) async throws {
        try await withPeers(limits: .patient) { host, peer, place, peerPlace in
            let result = try await peer.ask(
                "spoil_dial", ["address": .text("\(place)"), "step": .text(step)])
            expectSpoiled(result, step)
            #expect(result["end"] == "eof" || result["end"] == "reset")
            #expect(try await host.ping(peerPlace) > .zero)
            #expect(await host.counters.handshakesTimedOut == 0)
        }
    }

    @Test(arguments: [
        "multistream", "security", "noise-2", "ciphertext", "secure-multistream", "muxer", "signature",
        "identity", "empty-payload", "garbage-payload",
    ])
    func garbageOfAListenerFailsTheDial(_ step: String) async throws {
        try await withPeers(limits: .patient) { host, peer, _, peerPlace in
            let listener = try await peer.ask("spoil_listen", ["step": .text(step)])
            let address = try Multiaddr(#require(listener["address"].text))
            await #expect(throws: LibP2PError.self) { try await host.connect(to: address) }
            expectSpoiled(try await peer.event("spoiled") { $0["step"] == .text(step) }, step)
            #expect(await host.counters.handshakesFailed == 1)
            #expect(await host.counters.handshakesTimedOut == 0)
            #expect(try await host.ping(peerPlace) > .zero)
        }
    }

    @Test(
        arguments: [
            ["type": 0, "flags": 0, "length": 300_000],  // more than the window
            ["type": 0, "flags": 0, "stream": 77, "length": 0],  // nobody has opened it
            ["type": 9], ["type": 1, "version": 1], ["type": 3, "stream": 5], ["type": 1, "stream": 0],
            ["type": 1, "flags": 1, "stream": 2],  // a number of ours
        ] as [[String: Int]])
    func aFrameThatBreaksTheRulesEndsTheConnection(_ frame: [String: Int]) async throws {
        try await withPeers { host, peer, place, _ in
            await host.handle("/test/wait/1") { stream in _ = try await stream.read() }
            try await peer.ask("dial", ["address": .text("\(place)")])
            let opened = try await peer.ask(
                "open", ["peer": .text("\(host.peerID)"), "protocol": "/test/wait/1"])
            var arguments: [String: JSON] = ["peer": .text("\(host.peerID)"), "stream": opened["yamux"]]
            for (key, value) in frame { arguments[key] = .number(value) }
            try await peer.ask("frame", arguments)
            try await peer.event("disconnected")
        }
    }

    // MARK: Links

    /// The wire format holds through an implementation that knows nothing of it.
    @Test(arguments: [IPVersion.v4, .v6])
    func aRequestGoesThroughAPythonPeerThatOnlyRelays(_ version: IPVersion) async throws {
        try await withPeers(version) { host, peer, _, peerPlace in
            let listener = try await StreamLink.listen(host: "127.0.0.1", port: 0)
            try await peer.ask(
                "relay", ["host": "127.0.0.1", "port": .number(#require(listener.localAddress?.port))])
            async let accepted = listener.first { _ in true }
            let near = try await host.openLink(to: peerPlace)
            let entrance = try await VirtualInterface(.quiet(.entrance), link: near, stack: StacksUnderTest.near)
            let exit = try await VirtualInterface(
                .quiet(.exit), link: #require(await accepted), stack: StacksUnderTest.far)
            let body = ByteBuffer(repeating: 0x61, count: 3_000_000)
            try await HTTPOverTCPForwarder { request in
                .init(body: .bytes(body))
            }.attach(to: exit.stack, nic: VirtualInterface.nic)
            let client = HTTPClient(stack: entrance.stack)
            let response = try await client.get("http://192.168.1.1/")
            #expect(try await response.body.collect(upTo: 4_000_000) == body)
            await client.shutdown()
            await entrance.shutdown()
            await exit.shutdown()
            await listener.close()
        }
    }
}

/// That the garbage of a step has been sent; a payload is part of a message that py-libp2p sends by itself, and fails after.
private func expectSpoiled(_ result: JSON, _ step: String) {
    #expect(result["reached"].boolean == true || result["failure"].text != nil, "\(step): \(result)")
}

extension LibP2PHost.Limits {
    /// With a time limit that outlasts the peer's patience: what ends sooner has not merely timed out.
    fileprivate static var patient: Self {
        var limits = Self()
        limits.handshakeTime = .minutes(2)
        return limits
    }
}

/// Writes seeded bytes and the end while it reads to the end.
///
/// - Returns: the digest of what came.
private func exchange(_ stream: LibP2PStream, seed: UInt64, count: Int) async throws -> String {
    async let writing: Void = {
        for piece in SeededBytes(seed: seed, count: count) { try await stream.write(ByteBuffer(bytes: piece)) }
        try await stream.closeWrite()
    }()
    var hash = SHA256()
    while let bytes = try await stream.read() { bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) } }
    try await writing
    return SeededBytes.text(hash.finalize())
}

/// What the Python peer serves under this name.
private func serveTransfer(_ host: LibP2PHost) async {
    await host.handle("/test/transfer/1") { stream in
        var line = ByteBuffer()
        while !line.readableBytesView.contains(UInt8(ascii: "\n")), let bytes = try await stream.read() {
            line.writeImmutableBuffer(bytes)
        }
        let end = line.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) ?? line.writerIndex
        let numbers = String(decoding: line.readableBytesView[..<end], as: UTF8.self).split(separator: " ")
        guard numbers.count == 2, let count = Int(numbers[0]), let seed = UInt64(numbers[1]) else { return }
        _ = try await exchange(stream, seed: seed, count: count)
    }
}
