// Resolving host names through a stack: a stub resolver (RFC 1123 section 6.1.3.1).

import NIOConcurrencyHelpers
import NIOCore

extension Stack {
    /// The name servers that ``resolve(_:)`` asks, in this order, at port 53. None by default; an entrance has those of its
    /// exit. May be set from any thread.
    public nonisolated var nameServers: [IPAddress] {
        get { nameServerList.withLockedValue { $0 } }
        set { nameServerList.withLockedValue { $0 = newValue } }
    }

    /// How long a name server may take, each time it is asked.
    package func setPatience(_ patience: [Duration]) { resolutions.patience = patience }

    /// Finds the addresses of a host name, by asking the stack's name servers through the stack.
    ///
    /// Each server is asked up to three times and has 1, 2 and 4 seconds for its answer. 32 names are resolved at once;
    /// others wait. Answers are not kept. An address is returned as it is, and `localhost`, with all names below it, is
    /// 127.0.0.1 and ::1 without a query (RFC 6761 section 6.3), which no stack can dial.
    ///
    /// - Parameter name: of ASCII letters, digits, hyphens and underscores; an IPv4 or IPv6 address.
    /// - Returns: at least one address. Those that the stack has a way to stand before those that it has not, then IPv6
    ///   before IPv4 (RFC 6724 section 6, rules 1 and 6), then as the server has sent them.
    /// - Throws: `NetstackError.malformed`, before anything is sent; `.noNameServer`, `.nameNotFound`, `.nameHasNoAddress`;
    ///   if no server could tell, what was wrong with the last: `.timedOut`, `.nameServerFailed`, `.prohibited`,
    ///   `.unreachable`, or what else kept it from answering; `CancellationError`.
    public func resolve(_ name: String) async throws -> [IPAddress] {
        if let literal = try? IPAddress(name) { return [literal] }
        let host = try DNSName(hostName: name)
        if host.isWithin("localhost") { return [.v6(.loopback), .v4(.loopback)] }
        let servers = nameServers
        guard !servers.isEmpty else { throw NetstackError.noNameServer }
        try await resolutions.enter()
        defer { resolutions.leave() }

        // With the addresses of one version, the other's are not worth a retry.
        let isEnough = NIOLockedValueBox(false)
        async let ipv6 = ask(DNSQuestion(host, .aaaa), servers, isEnough)
        async let ipv4 = ask(DNSQuestion(host, .a), servers, isEnough)
        let answers = try await [ipv6, ipv4]
        let addresses = answers.flatMap(\.addresses)
        if !addresses.isEmpty {
            let core = core
            func isUsable(_ address: IPAddress) -> Bool { (try? core.path(to: address, nic: nil, from: nil)) != nil }
            return addresses.filter(isUsable) + addresses.filter { !isUsable($0) }
        }
        if answers.contains(.nameNotFound) { throw NetstackError.nameNotFound(name) }
        for case .failed(let error) in answers { throw error }
        throw NetstackError.nameHasNoAddress(name)
    }

    /// What has come of one question.
    private enum Answer: Hashable {
        case addresses([IPAddress])
        case nameNotFound
        case failed(NetstackError)

        var addresses: [IPAddress] { if case .addresses(let addresses) = self { addresses } else { [] } }
    }

    /// Asks one server after the other, and again those that have not answered.
    private func ask(
        _ question: DNSQuestion, _ servers: [IPAddress], _ isEnough: NIOLockedValueBox<Bool>
    ) async throws -> Answer {
        var servers = servers
        var failure: NetstackError?
        for patience in resolutions.patience {
            for server in servers {
                if let failure, isEnough.withLockedValue({ $0 }) { return .failed(failure) }
                do {
                    let reply = try await exchange(question, with: server, patience)
                    switch reply.responseCode {
                    case .noError:
                        let addresses = reply.addresses(for: question)
                        if !addresses.isEmpty { isEnough.withLockedValue { $0 = true } }
                        return .addresses(addresses)
                    case .nameError: return .nameNotFound
                    case let code:
                        throw NetstackError.nameServerFailed(
                            "\(question.name)", server: server, code: Int(code.rawValue))
                    }
                } catch let error as NetstackError {
                    if error == .stackShutDown { throw error }
                    failure = error
                    // One that has answered so will not answer otherwise.
                    if case .timedOut = error { continue }
                    servers.removeAll { $0 == server }
                }
            }
        }
        return .failed(failure ?? .noNameServer)
    }

    /// The reply of a server to a question, over UDP, or TCP where it says so (RFC 7766 section 5).
    private func exchange(
        _ question: DNSQuestion, with server: IPAddress, _ patience: Duration
    ) async throws -> DNSMessage {
        let server = TransportAddress(server, 53)
        // RFC 5452 section 9.2: an id and a port that can't be guessed, for each query.
        var query = DNSMessage(id: .random(in: 0 ... .max), flags: .recursionDesired, question: question)
        query.edns = EDNS()
        var reply = try await exchangeDatagrams(query, with: server, patience)
        if reply.responseCode == .formatError {
            // RFC 6891 section 7: it may not know EDNS.
            query.edns = nil
            reply = try await exchangeDatagrams(query, with: server, patience)
        }
        return reply.flags.contains(.truncated) ? try await exchangeOverTCP(query, with: server, patience) : reply
    }

    private func exchangeDatagrams(
        _ query: DNSMessage, with server: TransportAddress, _ patience: Duration
    ) async throws -> DNSMessage {
        let socket = try core.openUDP(port: 0, at: nil)
        let reach = NIOLoopBound(socket, eventLoop: eventLoop)
        let deadline = eventLoop.scheduleTask(in: TimeAmount(patience)) { reach.value.end(.timedOut(server)) }
        defer {
            deadline.cancel()
            socket.end(.closed)
        }
        // With a full link it is as good as lost, and comes again.
        _ = try socket.sendIfThereIsRoom(query.encoded(), to: server)
        while true {
            let datagram: UDPDatagram
            do {
                datagram = try await socket.receive()
            } catch NetstackError.unreachable(let address, _) where address != server {
                continue
            } catch NetstackError.prohibited(let address) where address != server {
                continue
            }
            // RFC 5452 section 9.1. The port is right, or it would not have come here.
            if datagram.source == server, let reply = query.reply(in: datagram.payload) { return reply }
        }
    }

    private func exchangeOverTCP(
        _ query: DNSMessage, with server: TransportAddress, _ patience: Duration
    ) async throws -> DNSMessage {
        let (connection, reach) = try await withBlock(to: server, from: nil, nic: nil, timeout: patience) { block in
            (TCPConnection(block.bound), block.bound)
        }
        let deadline = eventLoop.scheduleTask(in: TimeAmount(patience)) {
            reach.value.end(.timedOut(server), tellPeer: true)
        }
        defer { deadline.cancel() }
        try await connection.write(query.encodedForTCP())
        var received = ByteBuffer()
        while true {
            if let message = received.readLengthPrefixedSlice(as: UInt16.self) {
                await connection.close()
                guard let reply = query.reply(in: message) else { break }
                return reply
            }
            guard let bytes = try await connection.read() else { break }
            received.writeImmutableBuffer(bytes)
        }
        throw NetstackError.nameServerFailed(
            query.question.map { "\($0.name)" } ?? "", server: server.address, code: nil)
    }
}

extension DNSName {
    /// Parses the name of a host.
    ///
    /// - Throws: `NetstackError.malformed`.
    init(hostName text: String) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(text.utf8)
            guard isHostName else { throw TextFault("it has other characters, or ends with a number") }
        } catch {
            throw .malformed(kind: "a host name", text, fault: error)
        }
    }
}

extension DNSMessage {
    /// How far a chain of aliases is followed.
    private static let aliasLimit = 16

    /// The response to this query, if that is what the bytes are.
    func reply(in bytes: ByteBuffer) -> DNSMessage? {
        guard let reply = try? DNSMessage(parsing: bytes.readableBytesSpan), reply.flags.contains(.response),
            reply.id == id, reply.opcode == opcode,
            // Some servers leave the question out of an error.
            reply.question == question || reply.question == nil && reply.responseCode == .formatError
        else { return nil }
        return reply
    }

    /// The addresses at the end of the chain of aliases (CNAME) that begins with the name asked for.
    package func addresses(for question: DNSQuestion) -> [IPAddress] {
        var name = question.name
        for _ in 0..<Self.aliasLimit {
            let found = answers.filter { $0.name == name && $0.type == question.type }.compactMap(\.address)
            if !found.isEmpty { return found }
            let alias = answers.lazy.compactMap { record -> DNSName? in
                if case .cname(let target) = record.data, record.name == name { target } else { nil }
            }.first
            guard let alias else { break }
            name = alias
        }
        return []
    }

    /// The bytes of the message after their count, as they are sent over TCP (RFC 1035 section 4.2.2).
    func encodedForTCP() -> ByteBuffer {
        let message = encoded()
        var buffer = ByteBuffer(integer: UInt16(clamping: message.readableBytes))
        buffer.writeImmutableBuffer(message)
        return buffer
    }
}
