// The programs of this package, run as users run them.

import Foundation
import TestSupport
import Testing

/// Runs a program that was built beside the tests, and returns what it printed.
private func run(_ name: String, _ arguments: String...) async throws -> (output: String, status: Int32) {
    let process = Process()
    let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    process.executableURL = folder.appendingPathComponent(name)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    return try await withCheckedThrowingContinuation { continuation in
        // The end of the output comes before the end of the process: both are awaited.
        Thread.detachNewThread {
            do {
                try process.run()
                let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                process.waitUntilExit()
                continuation.resume(returning: (output, process.terminationStatus))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

@Suite struct ExampleTests {
    @Test func twoStacksPlumbedByHand() async throws {
        let result = try await run("example-memory")
        #expect(result == ("There and back again\n", 0))
    }

    @Test func aVirtualInterfaceWithAHandler() async throws {
        let result = try await run("example-vni")
        #expect(result == ("200 OK\nHello from behind the exit, at 192.168.1.1:80\n", 0))
    }

    @Test func aLinkOfOnesOwn() async throws {
        let result = try await run("example-custom-link")
        #expect(result.status == 0)
        #expect(result.output.hasPrefix("100.127.255.254 answered after "))
    }

    @Test func aWebSocketBetweenTwoStacks() async throws {
        let result = try await run("example-websocket")
        #expect(result == ("Hello\nfrom a stack\nto another\n", 0))
    }

    @Test func aTunnelBetweenTwoPeers() async throws {
        let lines = try await run("example-libp2p").output.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.first?.hasPrefix("The far host listens at /ip4/127.0.0.1/tcp/") == true)
        #expect(lines.dropFirst().first == "200 OK")
        #expect(lines.last?.hasSuffix(", from behind the exit, at 192.168.1.1:80") == true)
    }

    @Test func theRawAPI() async throws {
        let result = try await run("example-raw-lwip")
        #expect(result.status == 0)
        // IPv4, 10.0.0.1 to 10.0.0.2, port 80.
        #expect(result.output.hasPrefix("a packet of 48 bytes: 45 00 00 30"))
        #expect(result.output.contains("0a 00 00 01 0a 00 00 02"))
        #expect(result.output.contains("tcp_connect returned 0"))
    }
}

@Suite struct DemoTests {
    @Test(arguments: ["memory", "tcp", "libp2p"], ["lwip", "swift"])
    func theDemoSucceeds(_ link: String, _ stack: String) async throws {
        let result = try await run("vni-demo", "--link", link, "--stack", stack)
        #expect(result.status == 0, "\(result.output)")
        #expect(result.output.components(separatedBy: "✓").count == 8)
    }

    @Test(arguments: ["memory", "tcp", "libp2p"])
    func aURLThatCannotBeFetchedFails(_ link: String) async throws {
        let port = try closedPort()
        let result = try await run("vni-demo", "--link", link, "--url", "http://127.0.0.1:\(port)/")
        #expect(result.status == 1)
        #expect(result.output.contains("loopback"))
    }
}

@Suite struct MemoryTests {
    @Test func tenThousandStacksLeaveNothingBehind() async throws {
        let result = try await run("stack-churn")
        #expect(result.status == 0)
        let grown = try #require(Int(result.output.trimmingCharacters(in: .whitespacesAndNewlines)))
        // A leak of 200 bytes for each pair of stacks would be 2 MB.
        #expect(grown < 2000, "grew by \(grown) KiB")
    }
}
