// Raw queries to the name server of an exit.

import NIOCore
import Netstack
import TestSupport
import Testing
import VNI

/// The exit's address of a version, at the port of its name server.
func nameServer(_ version: IPVersion = .v4) throws -> TransportAddress {
    let address = VirtualInterface.defaultAddresses(.exit).first { $0.version == version }
    return TransportAddress(try #require(address), 53)
}

func query(_ name: String, _ type: DNSRecordType = .a, edns: EDNS? = nil) throws -> DNSMessage {
    var query = DNSMessage(
        id: .random(in: 0 ... .max), flags: .recursionDesired, question: DNSQuestion(try DNSName(name), type))
    query.edns = edns
    return query
}

extension Tunnel {
    /// A tunnel whose exit answers from a function, and in which nobody's patience ends before the test's.
    static func with(
        names: @escaping NameLookup, patience: Duration = .seconds(600),
        exit configure: (inout VirtualInterface.Configuration) -> Void = { _ in },
        _ body: @Sendable (Tunnel) async throws -> Void
    ) async throws {
        try await with(
            .memory,
            exit: {
                $0.lookUpNames = names
                $0.namePatience = patience
                configure(&$0)
            }
        ) { tunnel in
            await tunnel.entrance.stack.setPatience([.seconds(600)])
            try await body(tunnel)
        }
    }

    /// The answer to a query that is sent over UDP as it is.
    func ask(_ query: DNSMessage, _ version: IPVersion = .v4) async throws -> DNSMessage {
        let socket = try await entrance.stack.openUDP()
        try await socket.send(query.encoded(), to: nameServer(version))
        let datagram = try await socket.receive()
        await socket.close()
        return try parse(datagram.payload)
    }

    /// A connection to the exit's name server.
    func connectToNameServer(_ version: IPVersion = .v4) async throws -> TCPConnection {
        try await entrance.stack.connect(to: nameServer(version))
    }
}

extension TCPConnection {
    func send(_ queries: DNSMessage...) async throws {
        var bytes = ByteBuffer()
        for query in queries {
            let message = query.encoded()
            bytes.writeInteger(UInt16(message.readableBytes))
            bytes.writeImmutableBuffer(message)
        }
        try await write(bytes)
    }

    func receiveMessage() async throws -> DNSMessage {
        let length = try await read(exactly: 2)
        return try await parse(read(exactly: Int(try #require(length.getInteger(at: 0, as: UInt16.self)))))
    }
}

func parse(_ bytes: ByteBuffer) throws -> DNSMessage { try DNSMessage(parsing: bytes.readableBytesSpan) }
