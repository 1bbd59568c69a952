// The harness itself: two Python peers that speak with each other, and none of our code between them.

import Testing
import TestSupport

struct PythonPeerTests {
    /// Two peers, of which the first has dialled the second.
    private func withPeers(
        on address: String = "/ip4/127.0.0.1/tcp/0", _ body: (PythonPeer, PythonPeer) async throws -> Void
    ) async throws {
        try await PythonPeer.with { one in
            try await PythonPeer.with { other in
                try await one.ask("dial", ["address": .text(try await other.listen(on: address))])
                try await body(one, other)
            }
        }
    }

    @Test(arguments: ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"])
    func peersPingAndIdentifyEachOther(address: String) async throws {
        try await withPeers(on: address) { one, other in
            let times = try await one.ask("ping", ["peer": .text(await other.id), "count": 3])
            #expect(times["milliseconds"].list.count == 3)
            let identity = try await other.ask("identify", ["peer": .text(await one.id)])
            #expect(identity["agent"].text == "py-libp2p/0.8.1")
            #expect(identity["protocols"].list.contains("/rns/one-way/0.0.1"))
        }
    }

    @Test func aPeerHasTheKeyOfItsSeed() async throws {
        let seed = String(repeating: "07", count: 32)
        let first = try await PythonPeer.with(seed: seed) { await $0.id }
        let second = try await PythonPeer.with(seed: seed) { await $0.id }
        #expect(first == second)
        #expect(first.hasPrefix("12D3KooW"))
    }

    @Test func aPeerThatCannotStartSaysWhy() async throws {
        let failure = await #expect(throws: PythonPeer.Failure.self) {
            try await PythonPeer.with(seed: "not hexadecimal") { _ in }
        }
        #expect(failure?.text.contains("ValueError") == true)
    }

    @Test func whatIsSentIsEchoed() async throws {
        try await withPeers { one, other in
            let result = try await one.ask("echo", ["peer": .text(await other.id), "bytes": 100_000, "seed": 1])
            #expect(result["sent"]["sha256"].text == SeededBytes.digest(seed: 1, count: 100_000))
            #expect(result["received"] == result["sent"])
        }
    }

    @Test func aMegabyteGoesBothWaysAtOnce() async throws {
        try await withPeers { one, other in
            let count = 1_500_000
            let result = try await one.ask(
                "transfer", ["peer": .text(await other.id), "bytes": .number(count), "seed": 2])
            #expect(result["sent"]["sha256"].text == SeededBytes.digest(seed: 2, count: count))
            #expect(result["received"]["sha256"].text == SeededBytes.digest(seed: 3, count: count))
            let ended = try await other.event("ended") { $0["protocol"] == "/test/transfer/1" }
            #expect(ended["received"] == result["sent"])
        }
    }

    @Test func anotherPeerThanExpectedIsAnError() async throws {
        try await PythonPeer.with { one in
            try await PythonPeer.with { other in
                let address = try await other.listen()
                let wrong = try await PythonPeer.with { await $0.id }
                let expected = address.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/\(wrong)"
                let failure = await #expect(throws: PythonPeer.Failure.self) {
                    try await one.ask("dial", ["address": .text(expected)])
                }
                #expect(failure?.text.contains("peer id does not correspond") == true)
            }
        }
    }

    @Test func anUnknownProtocolIsAnError() async throws {
        try await withPeers { one, other in
            let failure = await #expect(throws: PythonPeer.Failure.self) {
                _ = try await one.open("/test/unknown/1", to: other.id)
            }
            #expect(failure?.text.contains("response='na'") == true)
        }
    }

    @Test func aStalledStreamGoesOnWhenItIsResumed() async throws {
        try await withPeers { one, other in
            let stream = try await one.open("/test/stall/1", to: other.id)
            // More than the window, which py-libp2p lets grow up to 16 MiB.
            async let sent = one.ask("send_random", ["stream": .number(stream), "bytes": 32_000_000, "seed": 4])
            let stalled = try await other.event("stalled")
            try await other.ask("resume", ["stream": stalled["stream"]])
            let digest = try #require(try await sent["sha256"].text)
            try await one.ask("close_write", ["stream": .number(stream)])
            let answer = try await one.ask("read_line", ["stream": .number(stream)])
            #expect(answer["text"].text == "\(digest) 32000000")
        }
    }

    @Test func aPeerThatDropsIsMissed() async throws {
        try await PythonPeer.with { one in
            try await PythonPeer.with { other in
                let address = try await other.listen()
                for how: JSON in ["rst", "fin", "go-away"] {
                    try await one.ask("dial", ["address": .text(address)])
                    try await other.ask("configure", ["drop": 100_000, "how": how])
                    let stream = try await one.open("/test/drop/1", to: other.id)
                    await #expect(throws: PythonPeer.Failure.self) {
                        try await one.ask("send_random", ["stream": .number(stream), "bytes": 10_000_000, "seed": 5])
                    }
                    try await one.event("disconnected")
                }
            }
        }
    }

    @Test func garbageInPlaceOfAStepEndsTheConnection() async throws {
        try await PythonPeer.with { one in
            try await PythonPeer.with { other in
                let address = try await other.listen()
                let steps: [JSON] = [
                    "multistream", "security", "noise-1", "noise-3", "secure-multistream", "muxer", "ciphertext",
                    "signature", "identity", "empty-payload", "garbage-payload",
                ]
                for step in steps {
                    let dialled = try await one.ask("spoil_dial", ["address": .text(address), "step": step])
                    #expect(dialled["end"] == "eof" || dialled["end"] == "reset", "\(step)")
                    let isListeners = step != "noise-1" && step != "noise-3" && step != "ciphertext"
                    guard isListeners else { continue }
                    let listener = try await one.ask("spoil_listen", ["step": step])["address"]
                    await #expect(throws: PythonPeer.Failure.self, "\(step)") {
                        try await other.ask("dial", ["address": listener])
                    }
                    try await one.event("spoiled") { $0["step"] == step }
                }
            }
        }
    }

    @Test func aRelayPassesOnWhateverComes() async throws {
        try await withPeers { one, other in
            let server = try KernelServer.echo()
            defer { withExtendedLifetime(server) {} }
            try await other.ask("relay", ["host": "127.0.0.1", "port": .number(Int(server.port))])
            let result = try await one.ask(
                "echo",
                ["peer": .text(await other.id), "bytes": 300_000, "seed": 6, "protocol": "/rns/one-way/0.0.1"])
            #expect(result["received"] == result["sent"])
        }
    }
}
