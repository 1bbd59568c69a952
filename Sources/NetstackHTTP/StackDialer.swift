// An HTTP client's way into a stack.

import Glibc
import NIOCore
public import Netstack
import NetstackNIO
import NIOPosix

/// Finds the addresses of host names.
public protocol HostResolver: Sendable {
    /// The addresses of `host` in the order in which to try them.
    ///
    /// - Throws: when there are none.
    func resolve(_ host: String) async throws -> [IPAddress]
}

/// Asks the system: its hosts file, its name servers. What they are asked goes through no stack.
public struct SystemResolver: HostResolver {
    public init() {}

    public func resolve(_ host: String) async throws -> [IPAddress] {
        // Blocks, so it has threads of its own.
        try await NIOThreadPool.singleton.runIfActive { try Self.lookUp(host) }
    }

    private static func lookUp(_ host: String) throws -> [IPAddress] {
        do throws(HostNameFailure) {
            return try IPAddress.addresses(ofHost: host)
        } catch {
            throw NetstackError.malformed(
                kind: "a host name with an address", text: host, fault: String(cString: gai_strerror(error.code)))
        }
    }
}

/// Dials through a stack.
struct StackDialer: HTTPDialer {
    let stack: Stack
    let nic: NICID?
    let resolver: (any HostResolver)?

    func dial(host: String, port: Int, timeout: Duration) async throws -> any Channel {
        guard let port = UInt16(exactly: port) else {
            throw HTTPClientError.invalidURL("\(host):\(port)", fault: "no such port")
        }
        let addresses: [IPAddress]
        if let literal = try? IPAddress(host) {
            addresses = [literal]
        } else {
            addresses = try await resolve(host)
        }
        var failure: any Error = NetstackError.malformed(
            kind: "a host name with an address", text: host, fault: "it has none")
        for address in addresses {
            do {
                return try await stack.connectChannel(to: TransportAddress(address, port), nic: nic, timeout: timeout) {
                    try $0.syncOptions?.setOption(.autoRead, value: false)
                }
            } catch let error as CancellationError {
                throw error
            } catch NetstackError.timedOut {
                failure = HTTPClientError.timedOut(.connect)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func resolve(_ host: String) async throws -> [IPAddress] {
        if let resolver { return try await resolver.resolve(host) }
        // Where names can be asked about through the stack, nothing is to be seen of them outside of it.
        if !stack.nameServers.isEmpty { return try await stack.resolve(host) }
        return try await SystemResolver().resolve(host)
    }
}

extension HTTPClient {
    /// A client whose connections go through a stack.
    ///
    /// - Parameters:
    ///   - nic: the NIC to dial through, instead of the one that the stack's routes lead to.
    ///   - resolver: turns host names into addresses. By default `Stack.resolve` does, so that an entrance's queries go
    ///     to its exit and nowhere else; for a stack without name servers, the system.
    public convenience init(
        stack: Stack, nic: NICID? = nil, resolver: (any HostResolver)? = nil,
        configuration: Configuration = Configuration()
    ) {
        self.init(dialer: StackDialer(stack: stack, nic: nic, resolver: resolver), configuration: configuration)
    }
}
