// The secure channel in a pipeline: does the handshake, then encrypts and decrypts.

package import NIOCore

/// Frames of a Noise channel have a length of two bytes before them.
package final class NoiseHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// The most that a frame carries: its length counts the tag, too.
    private static let plaintextLimit = 65535 - NoiseCipher.tagLength

    private let identity: Identity
    /// Judges the peer as soon as it has proven who it is, before it is told who this is if it is the listener.
    private let judge: (PeerID) throws(LibP2PError) -> Void
    private let authenticated: EventLoopPromise<PeerID>
    private var handshake: NoiseHandshake
    private var ciphers: (sending: NoiseCipher, receiving: NoiseCipher)?
    private var hasFailed = false
    /// A frame that has not come as a whole.
    private var partial = ByteBuffer()
    /// What has been written since the last flush, and the promises for it.
    private var pending = ByteBuffer()
    private var pendingPromise: EventLoopPromise<Void>?

    /// - Parameters:
    ///   - judge: throws if the peer is not to be let in.
    ///   - authenticated: completed with who the peer is, when frames can go both ways; or with what went wrong. The
    ///     channel is closed then.
    package init(
        _ role: NoiseHandshake.Role, identity: Identity, authenticated: EventLoopPromise<PeerID>,
        judge: @escaping (PeerID) throws(LibP2PError) -> Void
    ) {
        self.identity = identity
        self.judge = judge
        self.authenticated = authenticated
        handshake = NoiseHandshake(role)
    }

    // MARK: The handshake

    /// Noise has been agreed on over the channel by now: it is active.
    package func handlerAdded(context: ChannelHandlerContext) {
        guard handshake.writes else { return }
        do {
            // The first message is not encrypted, and carries nothing.
            try send(ByteBuffer(), context)
        } catch {
            fail(context, error)
        }
    }

    private func send(_ payload: ByteBuffer, _ context: ChannelHandlerContext) throws(LibP2PError) {
        var frame = ByteBuffer()
        let message = try handshake.write(payload)
        frame.writeInteger(UInt16(truncatingIfNeeded: message.readableBytes))
        frame.writeImmutableBuffer(message)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    private func advance(_ message: ByteBuffer, _ context: ChannelHandlerContext) throws(LibP2PError) {
        let payload = try handshake.read(message)
        // Whichever side: it completes the handshake with the peer's key, or in answer to it.
        let peer = try handshake.peerStaticKey.map { key throws(LibP2PError) in
            try NoisePayload.verify(payload, for: key)
        }
        if let peer { try judge(peer) }
        if handshake.writes { try send(NoisePayload.sign(handshake.publicKey, with: identity), context) }
        guard handshake.isComplete, let peer else { return }
        ciphers = handshake.split()
        authenticated.succeed(peer)
    }

    // MARK: Reading

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasFailed else { return }
        var bytes = unwrapInboundIn(data)
        var plaintext = ByteBuffer()
        // No more than what comes in comes out.
        if ciphers != nil { plaintext.reserveCapacity(partial.readableBytes + bytes.readableBytes) }
        do {
            while let frame = nextFrame(&bytes) {
                if ciphers != nil {
                    try ciphers?.receiving.decrypt(frame, to: &plaintext)
                } else {
                    try advance(frame, context)
                }
            }
        } catch {
            deliver(plaintext, context)
            return fail(context, error)
        }
        deliver(plaintext, context)
    }

    /// The next frame without its length. What there is of one that has not come as a whole is kept.
    private func nextFrame(_ bytes: inout ByteBuffer) -> ByteBuffer? {
        if partial.readableBytes == 0, let frame = bytes.readLengthPrefixedSlice(as: UInt16.self) { return frame }
        // A copy of the rest lets go of what came before it; and of what has come, no more than that frame takes.
        func complete(to count: Int) -> Bool {
            let missing = min(max(count - partial.readableBytes, 0), bytes.readableBytes)
            partial.writeImmutableBuffer(bytes.readSlice(length: missing) ?? ByteBuffer())
            return partial.readableBytes >= count
        }
        let start = partial.readerIndex
        guard complete(to: 2), let length = partial.getInteger(at: start, as: UInt16.self),
            complete(to: 2 + Int(length))
        else { return nil }
        defer { partial = ByteBuffer() }
        return partial.readLengthPrefixedSlice(as: UInt16.self)
    }

    private func deliver(_ plaintext: ByteBuffer, _ context: ChannelHandlerContext) {
        guard plaintext.readableBytes > 0 else { return }
        var plaintext = plaintext
        // Of messages that are mostly overhead little comes out, and whoever keeps it would keep room for all of them.
        if plaintext.storageCapacity > 4096, plaintext.readableBytes < plaintext.storageCapacity / 2 {
            plaintext.shrinkBufferCapacity(to: plaintext.readableBytes)
        }
        context.fireChannelRead(wrapInboundOut(plaintext))
    }

    // MARK: Writing

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard ciphers != nil, !hasFailed else { return promise?.fail(LibP2PError.closed) ?? () }
        var bytes = unwrapOutboundIn(data)
        if pending.readableBytes == 0 { pending = bytes } else { pending.writeBuffer(&bytes) }
        guard let promise else { return }
        if let pendingPromise {
            pendingPromise.futureResult.cascade(to: promise)
        } else {
            pendingPromise = promise
        }
    }

    package func flush(context: ChannelHandlerContext) {
        if pending.readableBytes > 0 {
            do {
                let frames = try encryptPending()
                context.write(wrapOutboundOut(frames), promise: pendingPromise)
                pendingPromise = nil
            } catch {
                fail(context, error)
            }
        }
        context.flush()
    }

    /// Small writes share frames; large ones are cut.
    private func encryptPending() throws(LibP2PError) -> ByteBuffer {
        let count = (pending.readableBytes + Self.plaintextLimit - 1) / Self.plaintextLimit
        var frames = ByteBuffer()
        frames.reserveCapacity(pending.readableBytes + count * (2 + NoiseCipher.tagLength))
        while let piece = pending.readSlice(length: min(pending.readableBytes, Self.plaintextLimit)),
            piece.readableBytes > 0
        {
            frames.writeInteger(UInt16(truncatingIfNeeded: piece.readableBytes + NoiseCipher.tagLength))
            try ciphers?.sending.encrypt(piece, to: &frames)
        }
        pending = ByteBuffer()
        return frames
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // What has been written before goes before.
        flush(context: context)
        context.close(mode: mode, promise: promise)
    }

    // MARK: The end

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        authenticated.fail(error)
        context.fireErrorCaught(error)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        end(LibP2PError.noise(fault: "the peer closed during the handshake"))
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { end(LibP2PError.closed) }

    private func end(_ error: LibP2PError) {
        hasFailed = true
        authenticated.fail(error)
        pendingPromise?.fail(LibP2PError.closed)
        pendingPromise = nil
    }

    private func fail(_ context: ChannelHandlerContext, _ error: LibP2PError) {
        end(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }
}
