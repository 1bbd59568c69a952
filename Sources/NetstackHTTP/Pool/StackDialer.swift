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
    /// The host's resolver as it is configured.
    public init() {}

    public func resolve(_ host: String) async throws -> [IPAddress] {
        // Blocks, so it has threads of its own.
        try await NIOThreadPool.singleton.runIfActive { try Self.lookUp(host) }
    }

    private static func lookUp(_ host: String) throws -> [IPAddress] {
        do throws(HostNameFailure) {
            return try IPAddress.addresses(ofHost: host)
        } catch {
            if error.code == EAI_NONAME { throw NetstackError.nameNotFound(host) }
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

    func dial(host: String, port: Int, deadline: NIODeadline) async throws -> any Channel {
        guard let port = UInt16(exactly: port) else {
            throw HTTPClientError.invalidURL("\(host):\(port)", fault: "no such port")
        }
        if let literal = try? IPAddress(host) {
            return try await connect(to: TransportAddress(literal, port), deadline: deadline)
        }
        // Resolvers need not heed cancellation: what they are still doing is left to them.
        let addresses = try await Self.abandoning(at: deadline) { try await resolve(host) }
        return try await connect(toFirstOf: addresses, port, host, deadline: deadline)
    }

    private func connect(to address: TransportAddress, deadline: NIODeadline) async throws -> any Channel {
        let timeout = Duration(max(.zero, deadline - .now()))
        do {
            return try await stack.connectChannel(to: address, nic: nic, timeout: timeout) {
                try $0.syncOptions?.setOption(.autoRead, value: false)
            }
        } catch NetstackError.timedOut {
            throw HTTPClientError.timedOut(.connect)
        }
    }

    /// Tries addresses side by side, each a head start after the one before it, or as soon as one has failed (RFC 8305
    /// section 5).
    private func connect(
        toFirstOf addresses: [IPAddress], _ port: UInt16, _ host: String, deadline: NIODeadline
    ) async throws -> any Channel {
        let headStart = Duration.milliseconds(250)
        return try await withThrowingTaskGroup(of: Result<any Channel, any Error>?.self) { group in
            var rest = addresses[...]
            var underway = 0
            var failure: any Error = NetstackError.nameHasNoAddress(host)
            func tryNext() {
                guard let address = rest.popFirst() else { return }
                underway += 1
                group.addTask {
                    do {
                        return .success(try await connect(to: TransportAddress(address, port), deadline: deadline))
                    } catch {
                        return .failure(error)
                    }
                }
                if rest.isEmpty { return }
                group.addTask {
                    try? await Task.sleep(for: headStart)
                    return nil
                }
            }
            tryNext()
            var winner: (any Channel)?
            while winner == nil, underway > 0, !Task.isCancelled, let outcome = try await group.next() {
                switch outcome {
                case nil: tryNext()
                case .failure(let error)?:
                    underway -= 1
                    failure = error
                    tryNext()
                case .success(let channel)?: winner = channel
                }
            }
            group.cancelAll()
            // Another may have been quick enough, too.
            while let outcome = try await group.next() {
                if case .success(let late)? = outcome { late.close(promise: nil) }
            }
            guard let winner else { throw Task.isCancelled ? CancellationError() : failure }
            return winner
        }
    }

    /// Waits for `body`, but neither beyond the deadline nor after the task has been cancelled.
    private static func abandoning<Value: Sendable>(
        at deadline: NIODeadline, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = eventLoop.makePromise(of: Value.self)
        promise.completeWithTask(body)
        let timer = eventLoop.scheduleTask(deadline: deadline) { promise.fail(HTTPClientError.timedOut(.connect)) }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: {
            promise.fail(CancellationError())
        }
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
    ///   - stack: what is dialled through.
    ///   - nic: the NIC to dial through, instead of the one that the stack's routes lead to.
    ///   - resolver: turns host names into addresses. By default `Stack.resolve` does, so that an entrance's queries go
    ///     to its exit and nowhere else; for a stack without name servers, the system.
    ///   - configuration: limits and policies.
    public convenience init(
        stack: Stack, nic: NICID? = nil, resolver: (any HostResolver)? = nil,
        configuration: Configuration = Configuration()
    ) {
        self.init(dialer: StackDialer(stack: stack, nic: nic, resolver: resolver), configuration: configuration)
    }
}
