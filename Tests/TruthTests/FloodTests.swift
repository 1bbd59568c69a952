// What is left of an exit after a flood. hping3 ignores its count while it floods, so it is stopped.

import TestSupport
import Testing

extension TruthTests {
    @Suite(.inNetwork) struct FloodTests {
        /// To a port that is open, one that is closed, and one that is silent.
        @Test(arguments: ["-S -p 3000", "-S -p 4000", "--udp -p 4000", "--udp -p 4001", "--icmp"])
        func aFloodLeavesTheNextDialAlone(_ flood: String) async throws {
            for way in Way.throughAnExit { try await echo(over: "TCP", by: way, after: flood) }
        }
    }

    /// What nobody answers stays until its time-out, or gives way.
    @Suite(.inNetwork) struct FloodOfSilenceTests {
        @Test(arguments: Way.throughAnExit)
        func dialsThatNobodyAnswersLeaveTheNextOneAlone(_ way: Way) async throws {
            try await echo(over: "TCP", by: way, after: "-S -p 4001")
        }

        @Test(arguments: Way.throughAnExit)
        func datagramsThatNobodyAnswersLeaveTheNextOneAlone(_ way: Way) async throws {
            try await echo(over: "UDP", by: way, after: "--udp -p 4001")
        }
    }
}

/// Floods for five seconds, and then has the host send something back.
private func echo(over transport: String, by way: Way, after flood: String) async throws {
    let network = try Network.shared
    _ = try await network.shell(way, "timeout --signal=INT 5 hping3 -q --flood \(flood) 10.77.0.1")
    // Whoever sends by UDP has to send again: flows that nobody answers keep their places for a second.
    let client =
        "echo there and back | socat -t 2 - \(transport):10.77.0.1:3000,connect-timeout=30 2>/dev/null | grep there"
    let result = try await network.shell(way, "for try in $(seq 10); do \(client) && break; done")
    #expect(result.output == "there and back\n", "\(flood) by \(way)")
}
