// The name server of an exit: names are resolved where the connections to them begin.

import Logging
import NIOCore
import Netstack

/// Answers DNS queries (RFC 1035) on the addresses of a NIC, over UDP and TCP, with what the host finds.
///
/// It lives on the stack's event loop and as long as the stack, which holds it by its sockets.
final class NameServer {
    static let port: UInt16 = 53
    /// Lookups under way, each on a thread.
    static let threadLimit = Bound(total: 16, perSource: 8)
    static let connectionLimit = 64

    /// One whose query waits.
    private struct Asker {
        var query: DNSMessage
        var source: IPAddress
        var isOverTCP: Bool
        var reply: (ByteBuffer) -> Void
    }

    /// A lookup, for all who have asked the same.
    private struct Lookup {
        var id: Int
        var askers: [Asker]
        var deadline: Scheduled<Void>
    }

    /// How long a lookup may take before whoever waits is told that it failed; and how long a connection may be open without
    /// a query or an answer (RFC 7766 section 6.2.3).
    let patience: TimeAmount
    private weak var exit: ExitCore?
    private let eventLoop: any EventLoop
    private let threads: LookupThreads
    private var lookups: [NameQuery: Lookup] = [:]
    private var nextID = 0
    /// Queries that wait for an answer.
    private var waiting: SourceQuota
    private var connections: [ObjectIdentifier: NameServerConnection] = [:]

    init(_ exit: ExitCore, patience: Duration, lookUp: @escaping NameLookup) {
        self.patience = TimeAmount(patience)
        self.exit = exit
        eventLoop = exit.stack.eventLoop
        waiting = SourceQuota(exit.limits.nameQueries)
        threads = LookupThreads(limit: Self.threadLimit, eventLoop: eventLoop, lookUp: lookUp)
    }

    deinit {
        threads.stop()
        for lookup in lookups.values { lookup.deadline.cancel() }
    }

    /// Answers on all addresses of a NIC of the exit's stack, at port 53.
    ///
    /// - Throws: `NetstackError.addressInUse`.
    func serve(on stack: isolated Stack, at addresses: [IPAddress]) throws {
        for address in Set(addresses) {
            let address = TransportAddress(address, Self.port)
            try stack.serveUDP(at: address) { self.receive($0) }
            try stack.serveTCP(at: address, backlog: Self.connectionLimit) { self.accept($0) }
        }
    }

    // MARK: Transports

    private func receive(_ datagram: UDPDatagram) {
        answer(datagram.payload, from: datagram.source.address, isOverTCP: false) { [weak exit] message in
            guard let exit else { return }
            let reply = UDPDatagram(source: datagram.destination, destination: datagram.source, payload: message)
            try? exit.stack.send(reply, on: exit.nic)
        }
    }

    private func accept(_ block: TCPControlBlock) {
        guard connections.count < Self.connectionLimit else {
            countRefused(block.remote.address)
            return block.reset()
        }
        let connection = NameServerConnection(block, server: self)
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    func ended(_ connection: NameServerConnection) { connections[ObjectIdentifier(connection)] = nil }

    // MARK: Queries

    /// Answers a message that a peer has sent, now or later, at most once.
    ///
    /// - Returns: false if there will be no answer.
    @discardableResult
    func answer(
        _ bytes: ByteBuffer, from source: IPAddress, isOverTCP: Bool, _ reply: @escaping (ByteBuffer) -> Void
    ) -> Bool {
        // Answering a response could go on for ever.
        guard let header = try? DNSHeader(parsing: bytes.readableBytesSpan), !header.flags.contains(.response) else {
            return false
        }
        guard header.opcode == 0, let query = try? DNSMessage(parsing: bytes.readableBytesSpan),
            let question = query.question
        else {
            var response = DNSMessage(id: header.id, flags: [.response, header.flags.intersection(.recursionDesired)])
            response.opcode = header.opcode
            response.responseCode = header.opcode == 0 ? .formatError : .notImplemented
            reply(response.encoded())
            return true
        }
        let asker = Asker(query: query, source: source, isOverTCP: isOverTCP, reply: reply)
        if let answer = Self.answerAtOnce(query, question) {
            tell(asker, answer)
        } else {
            lookUp(NameQuery(query, question), for: asker)
        }
        return true
    }

    /// The answer to what needs no lookup.
    private static func answerAtOnce(_ query: DNSMessage, _ question: DNSQuestion) -> NameAnswer? {
        if let edns = query.edns, edns.version > 0 { return .failure(.badVersion) }
        // Meta types, but for ANY: zone transfers, keys, and the options (RFC 6895 section 3.1).
        let isMeta = question.type == .opt || (249...254).contains(question.type.rawValue)
        if question.class != DNSQuestion.internet || isMeta {
            return .failure(.notImplemented)
        }
        guard question.name.isWithin("localhost") else { return nil }
        // RFC 6761 section 6.3
        return switch question.type {
        case .a: .records(.noError, [DNSRecord(question.name, timeToLive: 10, .a(.loopback))])
        case .aaaa: .records(.noError, [DNSRecord(question.name, timeToLive: 10, .aaaa(.loopback))])
        default: .failure(.noError)
        }
    }

    private func lookUp(_ query: NameQuery, for asker: Asker) {
        guard waiting.take(asker.source) else {
            countRefused(asker.source)
            return tell(asker, .failure(.refused))
        }
        // Who asks again, or what others ask as well, costs no further lookup; nor does it help to guess ids (RFC 5452
        // section 5).
        if lookups[query] != nil {
            lookups[query]?.askers.append(asker)
            return
        }
        nextID &+= 1
        let (id, reach) = (nextID, NIOLoopBound(Weak(self), eventLoop: eventLoop))
        let deadline = eventLoop.scheduleTask(in: patience) {
            guard let server = reach.value.object else { return }
            server.threads.cancel(id)
            server.finish(id, query, .failure(.serverFailure))
        }
        lookups[query] = Lookup(id: id, askers: [asker], deadline: deadline)
        threads.start(id, query, for: asker.source) { reach.value.object?.finish(id, query, $0) }
    }

    private func finish(_ id: Int, _ query: NameQuery, _ answer: NameAnswer) {
        guard let lookup = lookups[query], lookup.id == id else { return }
        lookups[query] = nil
        lookup.deadline.cancel()
        for asker in lookup.askers {
            waiting.remove(asker.source)
            tell(asker, answer)
        }
    }

    private func countRefused(_ source: IPAddress) {
        exit?.counters.nameQueriesRefused += 1
        exit?.logger.warning("too many name queries", metadata: ["from": "\(source)"])
    }

    // MARK: Answers

    private func tell(_ asker: Asker, _ answer: NameAnswer) {
        let query = asker.query
        // RFC 6891 section 6.2.3: what the asker takes, but not less than everyone does.
        let announced = min(query.edns?.payloadSize ?? 0, EDNS.payloadSize)
        let limit = asker.isOverTCP ? DNSMessage.maximumLength : max(DNSMessage.maximumPlainLength, Int(announced))
        var response = DNSMessage(
            id: query.id,
            flags: query.flags.intersection([.recursionDesired, .checkingDisabled]).union([
                .response, .recursionAvailable,
            ]), question: query.question)
        if let edns = query.edns { response.edns = EDNS(dnssecOK: edns.dnssecOK) }
        switch answer {
        case .records(let code, let records):
            response.responseCode = code
            response.answers = records
        case .relayed(var message):
            if message.readableBytes <= limit {
                // The question as it was asked, to the case of its letters; the two are equal but for that.
                message.setInteger(query.id, at: message.readerIndex)
                if let name = query.question?.name.wire {
                    message.setBytes(name, at: message.readerIndex + DNSHeader.length)
                }
                return asker.reply(message)
            }
            response.flags.insert(.truncated)
        }
        asker.reply(response.encoded(limit: limit))
    }
}

private final class Weak<Object: AnyObject> {
    weak var object: Object?

    init(_ object: Object) { self.object = object }
}
