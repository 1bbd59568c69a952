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
                for try await connection in listener {
                    Task(executorPreference: host.executor) { await serve(connection, on: lane) }
                }
            }
        }
        let socket = try await host.openUDP(port: Servers.ports.lowerBound, on: lane)
        Task(executorPreference: host.executor) { try await count(socket, on: lane) }
    }

    /// Until the connection ends, in whichever way: clients end bulk data by closing in the midst of it.
    private func serve(_ connection: Host.Connection, on lane: isolated Host.Lane) async {
        if var bytes = try? await connection.read(upTo: .max) {
            switch bytes.readInteger(as: UInt8.self) {
            case UInt8(ascii: "D"): try? await send(to: connection, on: lane)
            case UInt8(ascii: "U"): try? await discard(from: connection, on: lane)
            case UInt8(ascii: "E"): try? await echo(bytes, to: connection, on: lane)
            case UInt8(ascii: "G"): try? await answer(bytes, from: connection, on: lane)
            default: break
            }
        }
        await connection.close()
    }

    private func send(to connection: Host.Connection, on lane: isolated Host.Lane) async throws {
        while true { try await connection.write(Payload.bulk) }
    }

    private func discard(from connection: Host.Connection, on lane: isolated Host.Lane) async throws {
        while try await connection.read(upTo: .max) != nil {}
    }

    private func echo(_ first: ByteBuffer, to connection: Host.Connection, on lane: isolated Host.Lane) async throws {
        if first.readableBytes > 0 { try await connection.write(first) }
        while let bytes = try await connection.read(upTo: .max) { try await connection.write(bytes) }
    }

    private func answer(
        _ first: ByteBuffer, from connection: Host.Connection, on lane: isolated Host.Lane
    ) async throws {
        var (bytes, matched) = (first, 0)
        while true {
            for _ in 0..<HTTPBytes.requests(endingIn: bytes, matched: &matched) {
                try await connection.write(HTTPBytes.answer)
            }
            guard let next = try await connection.read(upTo: .max) else { return }
            bytes = next
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

enum Payload {
    /// What bulk senders write at a time: enough that the calls don't count, and little enough for the cache.
    static let bulk = ByteBuffer(repeating: UInt8(ascii: "U"), count: 256 << 10)
}
