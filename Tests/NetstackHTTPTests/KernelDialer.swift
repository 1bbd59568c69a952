// Dials through the sockets of this host, and what else the tests share.

import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import NIOPosix
import Netstack
import NetstackHTTP

struct KernelDialer: HTTPDialer {
    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        do {
            return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .channelOption(.autoRead, value: false)
                .connectTimeout(deadline - .now())
                .connect(host: host, port: port)
                .get()
        } catch ChannelError.connectTimeout {
            throw HTTPClientError.timedOut(.connect)
        }
    }
}

extension HTTPClient {
    /// Runs a test with a client of its own.
    static func with(
        _ configure: (inout Configuration) -> Void = { _ in }, _ test: (HTTPClient) async throws -> Void
    ) async throws {
        var configuration = Configuration()
        configure(&configuration)
        let client = HTTPClient(dialer: KernelDialer(), configuration: configuration)
        do {
            try await test(client)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
    }
}

extension HTTPClientResponse {
    /// The body of a short response.
    func text() async throws -> String {
        String(buffer: try await body.collect(upTo: 1 << 20))
    }
}

/// Remembers the channels it has dialled.
final class RecordingDialer: HTTPDialer {
    private let dialled = NIOLockedValueBox<[any Channel]>([])

    var channels: [any Channel] { dialled.withLockedValue { $0 } }

    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        let channel = try await KernelDialer().dial(host: host, port: port, deadline: deadline)
        dialled.withLockedValue { $0.append(channel) }
        return channel
    }
}

/// Hands out a channel without a server, on an event loop whose time is the test's.
struct TestingDialer: HTTPDialer {
    let channel = NIOAsyncTestingChannel()

    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: port)).get()
        return channel
    }
}

/// Knows one name.
struct FixedResolver: HostResolver {
    let name: String
    let addresses: [IPAddress]

    func resolve(_ host: String) async throws -> [IPAddress] { host == name ? addresses : [] }
}
