// Runs commands of this machine without blocking a thread: the tests share few.

import Foundation
package import NIOCore
import NIOPosix

/// A child process whose output can be read.
package struct Command {
    private let process = Process()
    private let output: NIOAsyncChannel<ByteBuffer, Never>

    package init(_ arguments: String...) async throws { try await self.init(arguments) }

    package init(_ arguments: [String]) async throws {
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        output = try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .takingOwnershipOfDescriptor(input: dup(pipe.fileHandleForReading.fileDescriptor)) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
    }

    /// Passes the output to `body` piece by piece, and ends the process when that returns.
    package func run(_ body: (NIOAsyncChannelInboundStream<ByteBuffer>) async throws -> Void) async throws {
        // Not SIGTERM: threads of the runtime block it, and children inherit that.
        defer { kill(process.processIdentifier, SIGKILL) }
        try await output.executeThenClose { output, _ in try await body(output) }
    }

    /// Waits for the end of the output.
    package func finish() async throws {
        try await run { for try await _ in $0 {} }
    }

    package static func isInstalled(_ command: String) -> Bool {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(command)") }
    }
}
