// What a request or an answer carries.

public import NIOCore

/// The body of a request, or of an answer: bytes, or a sequence of chunks that is read as fast as the peer takes them.
public struct HTTPBody: Sendable {
    /// Bytes go out in pieces of this many, so that TLS does not encrypt all of a large body at once.
    private static let pieceSize = 1 << 18

    private enum Storage: Sendable {
        case bytes(ByteBuffer)
        case stream(length: Int?, @Sendable (Send) async throws -> Void)
    }

    /// Returns when there is room for the next chunk.
    typealias Send = (ByteBuffer) async throws -> Void

    private let storage: Storage

    /// A body that is all there.
    public static func bytes(_ bytes: ByteBuffer) -> HTTPBody {
        HTTPBody(storage: .bytes(bytes))
    }

    /// A text in UTF-8.
    public static func text(_ text: String) -> HTTPBody {
        .bytes(ByteBuffer(string: text))
    }

    /// Chunks that are produced while they are sent. They are sent as they come and should be large.
    ///
    /// - Parameters:
    ///   - chunks: are read as fast as the peer takes them.
    ///   - length: how many bytes there will be. Without it the body is sent with chunked transfer coding, or as a stream
    ///     that ends when it ends. It fails with `HTTPClientError.bodyLengthMismatch` when the chunks add up to
    ///     something else.
    public static func stream<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks, length: Int? = nil) -> HTTPBody
    where Chunks.Element == ByteBuffer {
        HTTPBody(
            storage: .stream(length: length) { send in
                for try await chunk in chunks { try await send(chunk) }
            })
    }

    /// In bytes; nil if not known beforehand.
    var length: Int? {
        switch storage {
        case .bytes(let bytes): bytes.readableBytes
        case .stream(let length, _): length
        }
    }

    /// The whole body, if it can go out with the head.
    var singlePiece: ByteBuffer? {
        guard case .bytes(let bytes) = storage, bytes.readableBytes <= Self.pieceSize else { return nil }
        return bytes
    }

    /// Whether the body can be sent again.
    var isReplayable: Bool {
        if case .bytes = storage { true } else { false }
    }

    /// Sends everything.
    ///
    /// - Throws: what `send` or the sequence throws, or `HTTPClientError.bodyLengthMismatch`.
    func forEachPiece(_ send: Send) async throws {
        switch storage {
        case .bytes(var bytes):
            while let piece = bytes.readSlice(length: min(bytes.readableBytes, Self.pieceSize)), piece.readableBytes > 0
            {
                try await send(piece)
            }
        case .stream(nil, let produce):
            try await produce(send)
        case .stream(let declared?, let produce):
            var sent = 0
            try await produce { chunk in
                sent += chunk.readableBytes
                guard sent <= declared else { throw HTTPClientError.bodyLengthMismatch(declared: declared, sent: sent) }
                try await send(chunk)
            }
            guard sent == declared else { throw HTTPClientError.bodyLengthMismatch(declared: declared, sent: sent) }
        }
    }
}
