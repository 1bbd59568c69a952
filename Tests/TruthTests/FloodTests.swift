// What is left of an exit after a flood.

import Testing

extension TruthTests {
    @Suite(.inNetwork) struct FloodTests {
        /// To a port that is open, one that is silent, and one that is closed.
        @Test(arguments: ["-S -p 3000", "-S -p 4001", "-S -p 4000", "--udp -p 4001", "--udp -p 4000", "--icmp"])
        func aFloodLeavesTheNextDialAlone(_ flood: String) async throws {
            let network = try Network.shared
            for way in Way.throughAnExit {
                // hping3 ignores its count while it floods.
                _ = try await network.shell(way, "timeout --signal=INT 3 hping3 -q --flood \(flood) 10.77.0.1")
                let result = try await network.shell(way, "echo there and back | ncat --wait 20s 10.77.0.1 3000")
                #expect(result.output == "there and back\n", "by \(way)")
            }
        }
    }
}
