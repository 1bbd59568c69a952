// multistream-select, message by message.

import NIOCore
import NetstackLibP2P
import Testing

struct NegotiationTests {
    private static let limit = 1024

    private func dialler(_ proposals: String...) -> MultistreamNegotiation {
        MultistreamNegotiation(.dialler(proposals), messageLimit: Self.limit)
    }

    private func listener(_ names: String...) -> MultistreamNegotiation {
        MultistreamNegotiation(.listener(accepts: names.contains, all: { names }), messageLimit: Self.limit)
    }

    private func message(_ line: String) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeUnsignedVarint(UInt64(line.utf8.count + 1))
        bytes.writeString(line + "\n")
        return bytes
    }

    private func messages(_ lines: String...) -> ByteBuffer {
        var bytes = ByteBuffer()
        for line in lines { bytes.writeImmutableBuffer(message(line)) }
        return bytes
    }

    @Test func theOpeningIsWhatTheSpecificationShows() {
        // The header's length counts its newline: 0x13.
        #expect(listener().opening() == ByteBuffer(string: "\u{13}/multistream/1.0.0\n"))
        #expect(dialler("/noise").opening() == ByteBuffer(string: "\u{13}/multistream/1.0.0\n\u{7}/noise\n"))
    }

    @Test func bothAgreeOnTheFirstThatTheListenerKnows() throws {
        var (near, far) = (dialler("/a", "/b", "/c"), listener("/c", "/b"))
        var (toNear, toFar) = (far.opening(), near.opening())
        var (nearAgreed, farAgreed): (String?, String?)
        while nearAgreed == nil {
            var (nearReply, farReply) = (ByteBuffer(), ByteBuffer())
            nearAgreed = try near.receive(toNear, reply: &nearReply)
            farAgreed = try far.receive(toFar, reply: &farReply) ?? farAgreed
            (toNear, toFar) = (farReply, nearReply)
        }
        #expect(nearAgreed == "/b")
        #expect(farAgreed == "/b")
    }

    @Test func bytesMayComeOneByOne() throws {
        var near = dialler("/a", "/b")
        var reply = ByteBuffer()
        var agreed: String?
        for byte in messages("/multistream/1.0.0", "na", "/b").readableBytesView {
            #expect(agreed == nil)
            agreed = try near.receive(ByteBuffer(bytes: [byte]), reply: &reply)
        }
        #expect(agreed == "/b")
        #expect(reply == message("/b"))
    }

    @Test func whatFollowsTheAgreementIsKept() throws {
        var far = listener("/a")
        var (bytes, reply) = (messages("/multistream/1.0.0", "/a"), ByteBuffer())
        bytes.writeString("and more")
        #expect(try far.receive(bytes, reply: &reply) == "/a")
        #expect(far.takeRest() == ByteBuffer(string: "and more"))
        #expect(far.takeRest().readableBytes == 0)
    }

    @Test func aListenerListsItsProtocols() throws {
        var far = listener("/a", "/bc")
        var reply = ByteBuffer()
        #expect(try far.receive(messages("/multistream/1.0.0", "ls"), reply: &reply) == nil)
        #expect(reply == ByteBuffer(string: "\u{a}\u{3}/a\n\u{4}/bc\n\n"))
    }

    @Test func aDiallerThatIsDeclinedSaysWhatItHasProposed() {
        var near = dialler("/a", "/b")
        var reply = ByteBuffer()
        #expect(throws: LibP2PError.unsupportedProtocol(["/a", "/b"])) {
            try near.receive(messages("/multistream/1.0.0", "na", "na"), reply: &reply)
        }
    }

    @Test(arguments: ["/multistream/2.0.0", "HTTP/1.1 400 Bad Request", "", "/multistream/1.0.0\n"])
    func anotherHeaderIsAnError(_ header: String) {
        for var side in [dialler("/a"), listener("/a")] {
            var reply = ByteBuffer()
            #expect { try side.receive(message(header), reply: &reply) } throws: { error in
                if case .negotiation? = error as? LibP2PError { true } else { false }
            }
        }
    }

    @Test func anAnswerThatWasNotProposedIsAnError() {
        var near = dialler("/a", "/b")
        var reply = ByteBuffer()
        #expect { try near.receive(messages("/multistream/1.0.0", "/b"), reply: &reply) } throws: { error in
            if case .negotiation? = error as? LibP2PError { true } else { false }
        }
    }

    @Test func aMessageAboveTheLimitIsRefusedAtItsLength() throws {
        var far = listener("/a")
        var (bytes, reply) = (message("/multistream/1.0.0"), ByteBuffer())
        bytes.writeUnsignedVarint(UInt64(Self.limit))
        #expect(try far.receive(bytes, reply: &reply) == nil)
        far = listener("/a")
        bytes = message("/multistream/1.0.0")
        bytes.writeUnsignedVarint(UInt64(Self.limit) + 1)
        #expect(throws: LibP2PError.limitReached(what: "negotiationMessageBytes", limit: Self.limit)) {
            try far.receive(bytes, reply: &reply)
        }
    }

    @Test(arguments: [[0], [2, 0x61, 0x62], [3, 0xff, 0xfe, 0x0a], [0x80, 0x00], Array(repeating: 0xff, count: 10)])
    func whatIsNoLineIsAnError(_ bytes: [UInt8]) {
        var far = listener("/a")
        var reply = ByteBuffer()
        #expect(throws: LibP2PError.self) { try far.receive(ByteBuffer(bytes: bytes), reply: &reply) }
    }

    @Test func proposalsWithoutEndAreAnError() throws {
        var far = listener("/a")
        var reply = ByteBuffer()
        _ = try far.receive(message("/multistream/1.0.0"), reply: &reply)
        for _ in 0..<MultistreamNegotiation.proposalLimit { _ = try far.receive(message("/b"), reply: &reply) }
        #expect(throws: LibP2PError.limitReached(what: "proposals", limit: MultistreamNegotiation.proposalLimit)) {
            try far.receive(message("/b"), reply: &reply)
        }
    }
}
