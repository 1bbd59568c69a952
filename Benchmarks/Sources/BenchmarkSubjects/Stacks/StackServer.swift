// The server of stack-to-stack measurements: on a stack, what the kernel's server is on the kernel.

import NIOCore
import Netstack

/// The first byte of a connection says what becomes of it: `D` sends until the peer closes, `U` reads and discards, `E`
/// echoes every later byte, `G`, as in GET, answers each request. Datagrams that begin with `U` are counted; `?` is answered
/// with their number since the last `?`.
struct StackServer<Host: BenchmarkStack>: Sendable {
    private let host: Host

    /// Serves for as long as the process lasts.
    init(on host: Host) async throws {
        self.host = host
        try await start(on: host.lane(0))
    }

    private func start(on lane: isolated Host.Lane) async throws {
        for port in Servers.ports {
            let listener = try await host.listen(port: port, backlog: 4096, on: lane)
            // Tasks that name the lane begin on it, rather than on another thread.
            Task(executorPreference: host.executor) {
                _ = lane
                for try await connection in listener { serve(connection) }
            }
        }
        let socket = try await host.openUDP(port: Servers.ports.lowerBound, on: lane)
        Task(executorPreference: host.executor) { try await count(socket, on: lane) }
    }

    /// Until the connection ends, in whichever way: clients end bulk data by closing in the midst of it.
    ///
    /// The task waits in one place only, and in no further function: it keeps the memory of all that it waits in.
    private func serve(_ connection: Host.Connection) {
        Task(executorPreference: host.executor) {
            var conversation = Conversation()
            do {
                while let bytes = try await connection.read(upTo: .max) {
                    guard let answer = conversation.answer(to: bytes) else { continue }
                    repeat { try await connection.write(answer) } while conversation.isDownload
                }
            } catch {}
            await connection.close()
        }
    }

    private func count(_ socket: Host.Socket, on lane: isolated Host.Lane) async throws {
        var count: UInt64 = 0
        while true {
            let datagram = try await socket.receive()
            switch datagram.payload.getInteger(at: datagram.payload.readerIndex, as: UInt8.self) {
            case UInt8(ascii: "U"):
                count += 1
            case UInt8(ascii: "?"):
                try await socket.send(ByteBuffer(integer: count), to: datagram.source)
                count = 0
            default:
                break
            }
        }
    }
}

/// What a client has asked for. It is small, for the task that waits keeps it.
private struct Conversation {
    private var kind: UInt8?
    /// How much of the end of a request's head the bytes so far end in.
    private var matched: UInt8 = 0

    var isDownload: Bool { kind == UInt8(ascii: "D") }

    /// What is to be sent for bytes that have come.
    mutating func answer(to bytes: ByteBuffer) -> ByteBuffer? {
        var bytes = bytes
        if kind == nil { kind = bytes.readInteger() }
        switch kind {
        case UInt8(ascii: "D"): return Payload.bulk
        case UInt8(ascii: "E"): break
        case UInt8(ascii: "G"):
            let count = HTTPBytes.requests(endingIn: bytes, matched: &matched)
            bytes = ByteBuffer()
            for _ in 0..<count { bytes.writeImmutableBuffer(HTTPBytes.answer) }
        default: bytes = ByteBuffer()
        }
        return bytes.readableBytes > 0 ? bytes : nil
    }
}

enum Payload {
    /// What bulk senders write at a time: enough that the calls don't count, and little enough for the cache.
    static let bulk = ByteBuffer(repeating: UInt8(ascii: "U"), count: 256 << 10)
}
