// Serves a Hummingbird application at a port of a stack, and to whatever is dialled on a NIC.

import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Netstack
import NetstackHTTP
import NetstackNIO

/// Hummingbird's own server makes sockets of the kernel. What it does with a connection once it has been accepted does not
/// depend on that: this server accepts, and leaves the rest to Hummingbird.
struct StackServer: Sendable {
    private let listener: NIOAsyncChannel<HTTP1Channel.Value, Never>
    private let http: HTTP1Channel
    private let logger: Logger

    /// Begins to listen at all addresses of the stack.
    init(_ http: HTTP1Channel, on stack: Stack, port: Int, logger: Logger) async throws {
        listener = try await NetstackServerBootstrap(stack: stack)
            .bind(to: SocketAddress(ipAddress: "0.0.0.0", port: port)) { http.setup(channel: $0, logger: logger) }
        self.http = http
        self.logger = logger
    }

    /// Serves until the task is cancelled or the stack ends.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { connections in
                for try await connection in connections {
                    group.addTask { await http.handle(value: connection, logger: logger) }
                }
            }
        }
    }
}

extension HTTP1Channel {
    /// Answers as an application does.
    init<Responder: HTTPResponder>(_ responder: Responder, logger: Logger)
    where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
        self.init { request, writer, channel in
            let context = Responder.Context(source: ApplicationRequestContextSource(channel: channel, logger: logger))
            var response: Response
            do {
                response = try await responder.respond(to: request, context: context)
            } catch {
                response = Response(status: .internalServerError)
            }
            try await writer.write(response: response.head, body: response.body)
        }
    }
}

extension HTTPOverTCPForwarder {
    /// Answers as an application does, whatever is dialled.
    init(_ http: HTTP1Channel, logger: Logger) {
        self.init(logger: logger) {
            http.setup(channel: $0, logger: logger)
        } serve: {
            await http.handle(value: $0, logger: logger)
        }
    }
}
