// Programs that the tests run: what they print, and how they end.

package import Glibc
package import NIOCore
import NIOPosix

/// A program whose input, output and errors are one socket, so that no other program inherits an end of it.
package final class ChildProcess: Sendable {
    package struct Result: Sendable {
        package var output: String
        /// What a shell says: the exit status, or 128 and the signal.
        package var status: CInt
    }

    package struct Failure: Error {
        var program: String
        var reason: String

        package init(program: String, reason: String) {
            self.program = program
            self.reason = reason
        }
    }

    private let program: String
    package let id: pid_t
    private let socket: CInt

    /// Starts the first of `words`, to be found by the PATH, with the others as its arguments.
    package init(_ words: [String]) throws {
        program = words.joined(separator: " ")
        var ends: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Failure(program: program, reason: String(cString: strerror(errno)))
        }
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for standard in STDIN_FILENO...STDERR_FILENO {
            posix_spawn_file_actions_adddup2(&actions, ends[1], standard)
        }
        // Sockets of other tests would stay open in it, and go on listening.
        for descriptor in STDERR_FILENO + 1..<1024 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        // The threads of this process block signals that others live by, and ignore SIGPIPE.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var id = pid_t()
        let code = posix_spawnp(&id, words[0], &actions, &attributes, &arguments, environ)
        guard code == 0 else {
            close(ends[0])
            throw Failure(program: program, reason: String(cString: strerror(code)))
        }
        self.id = id
        socket = ends[0]
    }

    /// Runs a program to its end, with nothing to read.
    package static func run(_ words: [String]) async throws -> Result {
        let process = try ChildProcess(words)
        process.endInput()
        return try await process.finish()
    }

    /// Runs a program for as long as `body` takes, and kills it then.
    package static func with(_ words: [String], _ body: (ChildProcess) async throws -> Void) async throws {
        let process = try ChildProcess(words)
        let result: Swift.Result<Void, any Error>
        do {
            result = .success(try await body(process))
        } catch {
            result = .failure(error)
        }
        process.kill()
        _ = try await process.finish()
        try result.get()
    }

    package func endInput() { _ = shutdown(socket, CInt(SHUT_WR)) }

    /// Reads what it prints up to a line like this.
    @discardableResult
    package func line(where isMeant: @escaping @Sendable (String) -> Bool) async throws -> String {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while read(socket, &byte, 1) == 1 {
                guard byte == UInt8(ascii: "\n") else {
                    line.append(byte)
                    continue
                }
                let text = String(decoding: line, as: UTF8.self)
                if isMeant(text) { return text }
                line = []
            }
            throw Failure(program: program, reason: String(decoding: line, as: UTF8.self))
        }
    }

    /// What it prints and is told as a channel, whose handlers `initialize` adds: for a program that is spoken with for
    /// long, since no thread waits for it. Lines cannot be read otherwise then.
    package func channel(
        _ initialize: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        let input = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        let output = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        return try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer(initialize)
            .takingOwnershipOfDescriptors(input: input, output: output).get()
    }

    package func kill() { _ = Glibc.kill(id, SIGKILL) }

    /// Waits for its end. Nothing else can be done with it after.
    package func finish() async throws -> Result {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            var output: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while case let count = read(socket, &buffer, buffer.count), count != 0 {
                // A program that has not read all of its input ends with a reset, after its output.
                if count > 0 { output += buffer[..<count] } else if errno != ECONNRESET { break }
            }
            close(socket)
            var status: CInt = 0
            waitpid(id, &status, 0)
            let signal = status & 0x7f
            return Result(
                output: String(decoding: output, as: UTF8.self),
                status: signal == 0 ? status >> 8 & 0xff : 128 + signal)
        }
    }

    package static func isInstalled(_ program: String) -> Bool {
        guard let path = getenv("PATH") else { return false }
        return String(cString: path).split(separator: ":").contains { access("\($0)/\(program)", X_OK) == 0 }
    }
}
