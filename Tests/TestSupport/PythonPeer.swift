// A libp2p peer that we did not write: py-libp2p in a process of its own, driven by lines of JSON.

import Glibc
import NIOCore

/// A process of Tests/NetstackLibP2PTests/Peer/peer.py, which says what can be asked of it.
package actor PythonPeer {
    package struct Failure: Error, CustomStringConvertible {
        /// What was asked for.
        package let command: String
        /// The type of Python's exception.
        package let error: String
        package let text: String

        package var description: String { "\(command): \(error): \(text)" }
    }

    private struct Waiter {
        let isMeant: @Sendable (JSON) -> Bool
        let continuation: CheckedContinuation<JSON, any Error>
    }

    private let process: ChildProcess
    private let channel: any Channel
    private var lastID = 0
    private var requests: [Int: (command: String, continuation: CheckedContinuation<JSON, any Error>)] = [:]
    private var events: [JSON] = []
    private var waiters: [Waiter] = []
    private var log: [String] = []
    private var hasEnded = false

    /// The text of its peer id.
    package private(set) var id = ""

    /// Runs a peer for as long as `body` takes. `seed` is that of its key, as 64 hexadecimal digits; random if there is
    /// none.
    package static func with<Result>(
        seed: String? = nil, _ body: (PythonPeer) async throws -> Result
    ) async throws -> Result {
        let peer = try await PythonPeer(seed: seed)
        let result: Swift.Result<Result, any Error>
        do {
            try await peer.waitUntilReady()
            result = .success(try await body(peer))
        } catch {
            result = .failure(error)
        }
        try await peer.stop()
        return try result.get()
    }

    private init(seed: String?) async throws {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let environment = "\(root)/.build/libp2p-peer"
        guard access("\(environment)/installed", R_OK) == 0 else {
            throw ChildProcess.Failure(program: "peer.py", reason: "py-libp2p is not installed: run `make libp2p-peer`")
        }
        let script = "\(root)/Tests/NetstackLibP2PTests/Peer/peer.py"
        // Python would leave its compiled files beside the sources.
        process = try ChildProcess(["\(environment)/bin/python", "-B", script] + (seed.map { [$0] } ?? []))
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        channel = try await process.channel { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(LineHandler(line))
            }
        }
        Task { await listen(to: lines) }
    }

    private func waitUntilReady() async throws { id = try await event("ready")["peer"].text ?? "" }

    /// Asks for a command and waits for its answer. What is asked side by side is done side by side.
    ///
    /// - Throws: `Failure` if it has failed, or if the process has ended.
    @discardableResult
    package func ask(_ command: String, _ arguments: [String: JSON] = [:]) async throws -> JSON {
        lastID += 1
        let id = lastID
        let request = JSON.object(arguments.merging(["id": .number(id), "do": .text(command)]) { $1 })
        let line = ByteBuffer(string: try request.serialized() + "\n")
        return try await withCheckedThrowingContinuation { continuation in
            guard !hasEnded else { return continuation.resume(throwing: ended(command)) }
            requests[id] = (command, continuation)
            channel.writeAndFlush(line, promise: nil)
        }
    }

    /// The next event of this name that is meant, and that nobody has had yet: one that has come before, or comes.
    @discardableResult
    package func event(
        _ name: String, where isMeant: @escaping @Sendable (JSON) -> Bool = { _ in true }
    ) async throws -> JSON {
        let matches: @Sendable (JSON) -> Bool = { $0["event"].text == name && isMeant($0) }
        if let index = events.firstIndex(where: matches) { return events.remove(at: index) }
        return try await withCheckedThrowingContinuation { continuation in
            guard !hasEnded else { return continuation.resume(throwing: ended(name)) }
            waiters.append(Waiter(isMeant: matches, continuation: continuation))
        }
    }

    /// Listens on a multiaddr such as `/ip4/127.0.0.1/tcp/0`.
    ///
    /// - Returns: where it listens, with its peer id.
    package func listen(on address: String = "/ip4/127.0.0.1/tcp/0") async throws -> String {
        try await ask("listen", ["address": .text(address)])["address"].text ?? ""
    }

    /// Opens a stream.
    ///
    /// - Returns: its number, by which it is named in what is asked for.
    package func open(_ protocolID: String, to peer: String) async throws -> Int {
        try await ask("open", ["peer": .text(peer), "protocol": .text(protocolID)])["stream"].number ?? 0
    }

    private func stop() async throws {
        process.kill()
        try await channel.closeFuture.get()
        _ = try await process.finish()
    }

    private func listen(to lines: AsyncStream<String>) async {
        for await line in lines {
            guard line.hasPrefix("{"), let message = try? JSON.parse(line) else {
                log.append(line)
                continue
            }
            if let id = message["id"].number {
                guard let request = requests.removeValue(forKey: id) else { continue }
                if let error = message["error"].text {
                    let text = message["text"].text ?? ""
                    request.continuation.resume(throwing: Failure(command: request.command, error: error, text: text))
                } else {
                    request.continuation.resume(returning: message)
                }
            } else if let index = waiters.firstIndex(where: { $0.isMeant(message) }) {
                waiters.remove(at: index).continuation.resume(returning: message)
            } else {
                events.append(message)
            }
        }
        hasEnded = true
        for (command, continuation) in requests.values { continuation.resume(throwing: ended(command)) }
        for waiter in waiters { waiter.continuation.resume(throwing: ended("event")) }
        requests = [:]
        waiters = []
    }

    private func ended(_ command: String) -> Failure {
        Failure(command: command, error: "the process has ended", text: log.joined(separator: "\n"))
    }
}

/// Cuts what arrives into lines.
private final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let lines: AsyncStream<String>.Continuation
    private var pending = ByteBuffer()

    init(_ lines: AsyncStream<String>.Continuation) { self.lines = lines }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        pending.writeImmutableBuffer(unwrapInboundIn(data))
        while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            lines.yield(pending.readString(length: end - pending.readerIndex) ?? "")
            pending.moveReaderIndex(forwardBy: 1)
        }
        pending.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) { lines.finish() }

    // Its end is a reset if it has not read all that it was told.
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
