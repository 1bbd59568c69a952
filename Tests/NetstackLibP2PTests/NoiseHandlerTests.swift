// The secure channel in a pipeline, both ends in this test's hands.

import NIOCore
import NIOEmbedded
import NetstackLibP2P
import Testing

struct NoiseHandlerTests {
    /// One end: its channel, and who it says is at the other.
    private struct End {
        let channel = EmbeddedChannel()
        let peer: EventLoopFuture<PeerID>

        init(
            _ role: NoiseHandshake.Role, _ identity: Identity,
            judge: @escaping (PeerID) throws(LibP2PError) -> Void = { _ throws(LibP2PError) in }
        ) throws {
            let authenticated = channel.eventLoop.makePromise(of: PeerID.self)
            peer = authenticated.futureResult
            // Handshakes begin on a connection that is open.
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/peer")).wait()
            try channel.pipeline.syncOperations.addHandler(
                NoiseHandler(role, identity: identity, authenticated: authenticated, judge: judge))
        }

        /// What it has written since the last call.
        func written() throws -> ByteBuffer {
            var bytes = ByteBuffer()
            while let more = try channel.readOutbound(as: ByteBuffer.self) { bytes.writeImmutableBuffer(more) }
            return bytes
        }

        /// What the peer's messages said, since the last call.
        func received() throws -> ByteBuffer {
            var bytes = ByteBuffer()
            while let more = try channel.readInbound(as: ByteBuffer.self) { bytes.writeImmutableBuffer(more) }
            return bytes
        }

        /// Lets go of what a channel that is open, or whose loop has yet to run, refers to.
        func finish() throws { _ = try channel.finish(acceptAlreadyClosed: true) }

        /// Reads in pieces.
        func read(_ bytes: ByteBuffer, by length: Int = .max) throws {
            var bytes = bytes
            while let piece = bytes.readSlice(length: min(length, bytes.readableBytes)), piece.readableBytes > 0 {
                // Not `writeInbound`: release builds of Swift 6.3 crash where they free what it returns.
                channel.pipeline.fireChannelRead(piece)
                channel.pipeline.fireChannelReadComplete()
                try channel.throwIfErrorCaught()
            }
        }
    }

    private let near = Identity()
    private let far = Identity()

    /// Two ends that know each other. What they send is cut into pieces.
    private func pair(by length: Int = .max) throws -> (near: End, far: End) {
        let (near, far) = (try End(.initiator, near), try End(.responder, far))
        try far.read(near.written(), by: length)
        try near.read(far.written(), by: length)
        try far.read(near.written(), by: length)
        #expect(try near.peer.wait() == self.far.peerID)
        #expect(try far.peer.wait() == self.near.peerID)
        return (near, far)
    }

    private func bytes(_ count: Int) -> ByteBuffer {
        ByteBuffer(bytes: (0..<count).lazy.map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }

    @Test(arguments: [1, 2, 3, 17, 1000, 65_536, 65_537, .max])
    func framesAreReadHoweverTheyAreCut(_ length: Int) throws {
        let (near, far) = try pair(by: length)
        let sent = bytes(70_000)
        try near.channel.writeOutbound(ByteBuffer(string: "first"))
        try near.channel.writeOutbound(sent)
        try far.read(near.written(), by: length)
        var received = try far.received()
        #expect(received.readString(length: 5) == "first")
        #expect(received == sent)
        try near.channel.throwIfErrorCaught()
        for end in [near, far] { try end.finish() }
    }

    @Test func writesShareAFrameUntilTheFlush() throws {
        let (near, far) = try pair()
        let writes = ["a", "b", "c"].map { near.channel.write(ByteBuffer(string: $0)) }
        #expect(try near.written().readableBytes == 0)
        near.channel.flush()
        for write in writes { try write.wait() }
        let written = try near.written()
        #expect(written.readableBytes == 2 + 3 + NoiseCipher.tagLength)
        try far.read(written)
        #expect(try far.received() == ByteBuffer(string: "abc"))
        for end in [near, far] { try end.finish() }
    }

    /// RFC 8439 section 2.8: what does not fit its tag is not passed on, nor anything after it.
    @Test func aChangedFrameEndsTheConnection() throws {
        let (near, far) = try pair()
        try near.channel.writeOutbound(ByteBuffer(string: "good"))
        try near.channel.writeOutbound(ByteBuffer(string: "changed"))
        try near.channel.writeOutbound(ByteBuffer(string: "good again"))
        var written = try near.written()
        let second = 2 + 4 + NoiseCipher.tagLength + 2
        let byte = try #require(written.getInteger(at: second, as: UInt8.self))
        written.setInteger(byte ^ 1, at: second)
        #expect(throws: LibP2PError.self) { try far.read(written) }
        #expect(try far.received() == ByteBuffer(string: "good"))
        #expect(!far.channel.isActive)
        #expect(throws: LibP2PError.self) { try far.channel.write(ByteBuffer(string: "late")).wait() }
        for end in [near, far] { try end.finish() }
    }

    @Test(arguments: [NoiseHandshake.Role.initiator, .responder])
    func whoRefusesThePeerSaysNoMore(_ role: NoiseHandshake.Role) throws {
        let refuse: (PeerID) throws(LibP2PError) -> Void = { peer throws(LibP2PError) in throw .notAllowed(peer) }
        let allow: (PeerID) throws(LibP2PError) -> Void = { _ throws(LibP2PError) in }
        let near = try End(.initiator, near, judge: role == .initiator ? refuse : allow)
        let far = try End(.responder, far, judge: role == .responder ? refuse : allow)
        try far.read(near.written())
        let answer = try far.written()
        if role == .responder { try near.read(answer) }
        let (refusing, last) = role == .initiator ? (near, answer) : (far, try near.written())
        #expect(throws: LibP2PError.self) { try refusing.read(last) }
        // An initiator has not said who it is by now.
        #expect(try refusing.written().readableBytes == 0)
        #expect(!refusing.channel.isActive)
        #expect(throws: LibP2PError.self) { try refusing.peer.wait() }
        for end in [near, far] { try end.finish() }
    }

    @Test func aPeerThatClosesInTheHandshakeIsAnError() throws {
        let near = try End(.initiator, near)
        try near.channel.close().wait()
        #expect(throws: LibP2PError.self) { try near.peer.wait() }
        try near.finish()
    }
}
