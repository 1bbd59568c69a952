// A program that runs as a child, with its output in a pipe.

import BenchmarkReport
package import Glibc

package struct ChildProcess {
    package let id: pid_t
    private let output: Descriptor

    /// This program.
    package static let itself = "/proc/self/exe"

    /// - Throws: `Fault` if it can't be started.
    package init(_ program: String, _ arguments: [String]) throws {
        var ends: [CInt] = [-1, -1]
        try check("pipe") { pipe(&ends) }
        output = Descriptor(ends[0])
        let input = Descriptor(ends[1])
        // Other children must not hold these, or the end of the output would not be seen.
        for end in ends { try check("fcntl") { fcntl(end, F_SETFD, FD_CLOEXEC) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.number, STDOUT_FILENO)
        var strings: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var id = pid_t()
        let code = posix_spawn(&id, program, &actions, nil, &strings, environ)
        guard code == 0 else { throw Fault("\(program): \(String(cString: strerror(code)))") }
        self.id = id
    }

    /// The next line of its output, without its end; nil when there is none any more.
    package func readLine() -> String? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output.number, &byte, 1) == 1 {
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    /// Waits until it has ended, and returns all that it has printed.
    ///
    /// - Throws: `Fault` if it fails, or if it runs for longer than `limit` in seconds; then it is killed.
    package func result(within limit: Double) throws -> String {
        let end = Nanoseconds.now + limit.nanoseconds
        var text: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            var poll = pollfd(fd: output.number, events: Int16(POLLIN), revents: 0)
            let left = max(0, end - Nanoseconds.now) / 1_000_000
            guard Glibc.poll(&poll, 1, CInt(clamping: left)) > 0 else {
                kill(id, SIGKILL)
                wait()
                throw Fault("did not end within \(limit.figure) s")
            }
            let count = read(output.number, &bytes, bytes.count)
            if count <= 0 { break }
            text += bytes.prefix(count)
        }
        let status = wait()
        guard status == 0 else {
            throw Fault(status & 0x7f == 0 ? "failed with status \(status >> 8)" : "ended by signal \(status & 0x7f)")
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Waits until it has ended, and returns its status as wait(2) does.
    @discardableResult
    package func wait() -> CInt {
        var status: CInt = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
