// Network namespaces with servers, exits, and a way around them.

import Foundation
import Glibc
import TestSupport
import Testing

/// Where a tool runs; its raw value names the namespace.
enum Way: String, CaseIterable, CustomTestStringConvertible {
    /// Joined to the host by a cable.
    case direct
    /// Behind a TUN device and an exit, in one process.
    case tunnel
    /// Behind a TUN device in one process, a Unix socket, and an exit in another.
    case stream

    /// Those that must not differ from `direct`.
    static let throughAnExit: [Way] = [.tunnel, .stream]

    var testDescription: String { rawValue }
}

struct Network: Sendable {
    @TaskLocal private static var current: Network?

    /// The network of the running test.
    static var shared: Network {
        get throws { try #require(current, "no network: the test stands outside of TruthTests") }
    }

    private static let tools = [
        "nmap", "nft", "traceroute", "ping", "dig", "socat", "ncat", "hping3", "curl", "ip", "python3", "unshare",
    ]

    /// No other network, of this run or another, has namespaces of this prefix.
    private let prefix = "truth-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    private var processes: [ChildProcess] = []

    static func isPossible() async -> Bool {
        guard geteuid() == 0, access("/dev/net/tun", R_OK | W_OK) == 0 else { return false }
        guard tools.allSatisfy(ChildProcess.isInstalled) else { return false }
        return (try? await ChildProcess.run(["unshare", "--net", "true"]).status) == 0
    }

    /// Runs `body` within a network, which is gone after.
    static func with(_ body: () async throws -> Void) async throws {
        var network = Network()
        let socket = "/tmp/\(network.prefix).sock"
        func end() async throws {
            for process in network.processes { process.endInput() }
            for process in network.processes { _ = try await process.finish() }
            try await network.topology("down")
            unlink(socket)
        }
        do {
            try await network.topology("up")
            try await network.start(in: "host", ["python3", file("servers.py")], until: "ready")
            let exposed = ["stack=\(StacksUnderTest.farName)", "expose=0.0.0.0/0", "expose=::/0"]
            func tun(_ way: Way) -> String { "tun=tun@\(network.namespace(way))" }
            try await network.start(in: "exit", [exit, tun(.tunnel)] + exposed, until: "ready")
            try await network.start(in: "exit", [exit, "listen=\(socket)"] + exposed, until: "listening")
            try await network.start(in: "far", [exit, tun(.stream), "connect=\(socket)"], until: "ready")
            try await network.topology("tun")
            try await $current.withValue(network) { try await body() }
        } catch {
            try? await end()
            throw error
        }
        try await end()
    }

    /// Runs a tool to its end, but not for longer than a minute.
    func run(_ way: Way, _ words: String...) async throws -> ChildProcess.Result {
        try await ChildProcess.run(enter(way.rawValue) + ["timeout", "--signal=KILL", "60"] + words)
    }

    /// The same, for a line of the shell.
    func shell(_ way: Way, _ line: String) async throws -> ChildProcess.Result {
        try await run(way, "sh", "-c", line)
    }

    /// The path of a namespace.
    func namespace(_ way: Way) -> String { "/run/netns/\(prefix)-\(way.rawValue)" }

    private func enter(_ namespace: String) -> [String] { ["ip", "netns", "exec", "\(prefix)-\(namespace)"] }

    private mutating func start(in namespace: String, _ words: [String], until line: String) async throws {
        let process = try ChildProcess(enter(namespace) + words)
        processes.append(process)
        try await process.line { $0 == line }
    }

    private func topology(_ action: String) async throws {
        let result = try await ChildProcess.run([Self.file("topology"), action, prefix])
        guard result.status == 0 else {
            throw ChildProcess.Failure(program: "topology \(action)", reason: result.output)
        }
    }

    /// The fixture that is built next to the tests.
    private static let exit = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appendingPathComponent("truth-exit").path

    private static func file(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(name).path
    }
}

/// One test at a time, and each suite in a network of its own.
@Suite(
    .serialized,
    .enabled("takes root, /dev/net/tun and the tools that `make truth` installs") { await Network.isPossible() })
struct TruthTests {}

struct NetworkTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await Network.with { try await function() }
    }
}

extension Trait where Self == NetworkTrait {
    static var inNetwork: Self { Self() }
}
