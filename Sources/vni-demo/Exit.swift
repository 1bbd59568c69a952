// The far end of the demo's tunnel: in this process, or in a second one.

import Glibc
import Logging
import Netstack
import NetstackLibP2P
import NetstackLinks
import VNI

/// An exit and the near end of the link to it.
struct Exit {
    struct Routes {
        var blocks: [String] = []
        /// Single addresses and where they lead.
        var targets: [(String, String)] = []

        func parse() throws -> [ExposedRoute] {
            try blocks.map { try ExposedRoute($0) } + targets.map { try ExposedRoute($0, to: $1) }
        }
    }

    let link: any Link
    private let interface: VirtualInterface?
    private let process: ChildProcess?
    private let host: LibP2PHost?

    init(_ kind: Demo.LinkKind, _ stack: Demo.StackKind, routes: Routes, logger: Logger) async throws {
        switch kind {
        case .memory:
            let (near, far) = MemoryLink.pipe()
            interface = try await VirtualInterface(
                .init(mode: .exit, logger: logger), link: far, stack: stack.implementation, exposing: routes.parse())
            link = near
            process = nil
            host = nil
        case .tcp:
            let process = try ChildProcess(Self.arguments(stack, routes, logger))
            guard let port = Int(process.readLine()) else { throw ChildProcess.notStarted }
            link = try await StreamLink.connect(host: "127.0.0.1", port: port)
            self.process = process
            interface = nil
            host = nil
        case .libp2p:
            let host = LibP2PHost()
            let process = try ChildProcess(Self.arguments(stack, routes, logger) + ["--allow", "\(host.peerID)"])
            guard let place = try? Multiaddr(process.readLine()) else { throw ChildProcess.notStarted }
            link = try await host.openLink(to: place)
            self.process = process
            interface = nil
            self.host = host
        }
    }

    private static func arguments(_ stack: Demo.StackKind, _ routes: Routes, _ logger: Logger) -> [String] {
        ["--exit", "--stack", stack.rawValue] + routes.blocks.flatMap { ["--expose", $0] }
            + routes.targets.flatMap { ["--expose-to", "\($0)=\($1)"] }
            + (logger.logLevel == .debug ? ["--verbose"] : [])
    }

    /// Called after the entrance has ended the link, which is what ends a second process.
    func stop() async {
        await link.close()
        await interface?.shutdown()
        await host?.shutdown()
        process?.wait()
    }
}

/// This program once more, with other arguments and its output in a pipe.
struct ChildProcess {
    struct Failure: Error, CustomStringConvertible {
        var what: String
        var description: String { what }
    }

    static let notStarted = Failure(what: "the exit's process did not start")

    private let id: pid_t
    private let output: CInt

    init(_ arguments: [String]) throws {
        var pipes: [CInt] = [0, 0]
        guard pipe(&pipes) == 0 else { throw Failure(what: "no pipe: \(String(cString: strerror(errno)))") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO)
        posix_spawn_file_actions_addclose(&actions, pipes[0])
        defer { posix_spawn_file_actions_destroy(&actions) }
        var strings: [UnsafeMutablePointer<CChar>?] = (["vni-demo"] + arguments).map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var id = pid_t()
        let code = posix_spawn(&id, "/proc/self/exe", &actions, nil, &strings, environ)
        close(pipes[1])
        guard code == 0 else {
            close(pipes[0])
            throw Failure(what: "no second process: \(String(cString: strerror(code)))")
        }
        self.id = id
        output = pipes[0]
    }

    /// Its first line.
    func readLine() -> String {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    func wait() {
        close(output)
        var status: CInt = 0
        waitpid(id, &status, 0)
    }
}

/// Writes out what has been printed; output to a pipe is held back otherwise.
func flushOutput() { fflush(nil) }
