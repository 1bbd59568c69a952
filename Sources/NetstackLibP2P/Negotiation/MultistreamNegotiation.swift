// multistream-select 1.0: how two peers agree on the protocol of a connection or of a stream.

package import NIOCore

/// One side of a negotiation, without any I/O.
///
/// Messages are lines with a length before them. The dialler proposes, the listener repeats what it accepts or says `na`
/// (https://github.com/multiformats/multistream-select).
package struct MultistreamNegotiation {
    package enum Role {
        /// Proposes protocols in this order.
        case dialler([String])
        /// Accepts the protocols that this is true of; lists those that it is given.
        case listener(accepts: (String) -> Bool, all: () -> [String])
    }

    private static let header = "/multistream/1.0.0"
    private static let notAvailable = "na"
    private static let list = "ls"
    /// A listener that has declined so many proposals gives up.
    package static let proposalLimit = 32

    private let role: Role
    /// The longest message that is accepted, in bytes.
    private let messageLimit: Int
    private var received = ByteBuffer()
    private var hasHeader = false
    /// How many proposals have been declined.
    private var declined = 0

    package init(_ role: Role, messageLimit: Int) {
        self.role = role
        self.messageLimit = messageLimit
    }

    /// What to send first. The dialler's first proposal goes with its header, which saves a round trip.
    package func opening() -> ByteBuffer {
        var bytes = Self.message(Self.header)
        if case .dialler(let proposals) = role, let first = proposals.first {
            bytes.writeImmutableBuffer(Self.message(first))
        }
        return bytes
    }

    /// Takes what has arrived, and appends what to answer.
    ///
    /// - Returns: the protocol, once both have agreed. What arrived after that is in `takeRest`.
    /// - Throws: `LibP2PError.negotiation`, `.unsupportedProtocol`, `.limitReached`.
    package mutating func receive(_ bytes: ByteBuffer, reply: inout ByteBuffer) throws(LibP2PError) -> String? {
        received.writeImmutableBuffer(bytes)
        while let line = try nextLine() {
            guard hasHeader else {
                guard line == Self.header else {
                    throw .negotiation(fault: "the peer began with something else than \(Self.header)")
                }
                hasHeader = true
                continue
            }
            if let agreed = try take(line, reply: &reply) { return agreed }
        }
        return nil
    }

    /// What follows the agreement.
    package mutating func takeRest() -> ByteBuffer {
        defer { received = ByteBuffer() }
        return received.slice()
    }

    private mutating func take(_ line: String, reply: inout ByteBuffer) throws(LibP2PError) -> String? {
        switch role {
        case .dialler(let proposals):
            if declined < proposals.count, line == proposals[declined] { return line }
            guard line == Self.notAvailable else {
                throw .negotiation(fault: "the answer to a proposal is neither it nor \(Self.notAvailable)")
            }
            declined += 1
            guard declined < proposals.count else { throw .unsupportedProtocol(proposals) }
            reply.writeImmutableBuffer(Self.message(proposals[declined]))
            return nil
        case .listener(let accepts, let all):
            if line == Self.list {
                var names = ByteBuffer()
                for name in all() { names.writeImmutableBuffer(Self.message(name)) }
                names.writeInteger(UInt8(ascii: "\n"))
                reply.writeLengthPrefixed(names)
            } else if accepts(line) {
                reply.writeImmutableBuffer(Self.message(line))
                return line
            } else {
                reply.writeImmutableBuffer(Self.message(Self.notAvailable))
            }
            declined += 1
            if declined > Self.proposalLimit {
                throw .limitReached(what: "proposals", limit: Self.proposalLimit)
            }
            return nil
        }
    }

    private mutating func nextLine() throws(LibP2PError) -> String? {
        var bytes = received
        guard let length = try bytes.readUnsignedVarint() else { return nil }
        guard length <= messageLimit else {
            throw .limitReached(what: "negotiationMessageBytes", limit: messageLimit)
        }
        guard let message = bytes.readSlice(length: Int(length)) else { return nil }
        received = bytes
        guard message.readableBytesView.last == UInt8(ascii: "\n"),
            let line = String(validating: message.readableBytesView.dropLast(), as: UTF8.self)
        else {
            throw .negotiation(fault: "a message is not a line of text")
        }
        return line
    }

    private static func message(_ line: String) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeLengthPrefixed(ByteBuffer(string: line + "\n"))
        return bytes
    }
}
