// Runs commands of this machine without blocking a thread: the tests share few.

import Glibc
import NIOCore
import NIOPosix

/// A child process whose output can be read.
struct Command: Sendable {
    private let process: pid_t
    private let output: NIOAsyncChannel<ByteBuffer, Never>

    init(_ arguments: String...) async throws {
        var pipe: [Int32] = [-1, -1]
        guard Glibc.pipe(&pipe) == 0 else { throw IOError(errnoCode: errno, reason: "pipe") }
        for descriptor in pipe { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        let texts = arguments.map { strdup($0) }
        var process: pid_t = 0
        let code = posix_spawnp(&process, arguments[0], &actions, nil, texts + [nil], environ)
        texts.forEach { free($0) }
        posix_spawn_file_actions_destroy(&actions)
        close(pipe[1])
        guard code == 0 else {
            close(pipe[0])
            throw IOError(errnoCode: code, reason: arguments[0])
        }
        self.process = process
        output = try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .takingOwnershipOfDescriptor(input: pipe[0]) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
    }

    /// Passes the output to `body` piece by piece, and ends the process when that returns.
    func run<Value: Sendable>(_ body: (NIOAsyncChannelInboundStream<ByteBuffer>) async throws -> Value) async throws
        -> Value
    {
        defer {
            // Not SIGTERM: threads of the runtime block it, and children inherit that.
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        return try await output.executeThenClose { output, _ in try await body(output) }
    }

    /// Waits for the end of the output.
    func finish() async throws {
        try await run { for try await _ in $0 {} }
    }

    static func isInstalled(_ command: String) -> Bool {
        guard let path = getenv("PATH") else { return false }
        return String(cString: path).split(separator: ":").contains { access("\($0)/\(command)", X_OK) == 0 }
    }
}
