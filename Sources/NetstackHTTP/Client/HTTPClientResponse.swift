// What a server answers: the head at once, the body as it arrives.

public import HTTPTypes
public import NIOCore

/// A response whose body has yet to be read.
///
/// A response that is dropped before the end of its body ends its exchange: the stream of HTTP/2, the connection of HTTP/1.1.
public struct HTTPClientResponse: Sendable {
    /// What has become of the request.
    public let status: HTTPResponse.Status
    /// All fields, those of framing included.
    public let headerFields: HTTPFields
    /// Empty if the response has none.
    public let body: HTTPResponseBody
}

/// The body of a response, chunk by chunk. It can be iterated once.
///
/// Chunks are handed on as they arrive, transfer coding removed. While nobody asks for the next ones the connection is
/// not read, and the server is held back by TCP. Iteration ends when the body is complete, and throws `HTTPClientError`
/// when it can't become so; cancelling the iterating task ends the exchange.
public struct HTTPResponseBody: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    typealias Producer = NIOThrowingAsyncSequenceProducer<
        ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, ResponseDemand
    >

    private let chunks: Producer

    /// Makes a body and the source of its chunks.
    static func make(_ demand: ResponseDemand) -> (body: HTTPResponseBody, source: Producer.Source) {
        // In chunks, none of which is larger than one read from the channel.
        let made = Producer.makeSequence(
            backPressureStrategy: .init(lowWatermark: 4, highWatermark: 16), finishOnDeinit: true, delegate: demand)
        return (HTTPResponseBody(chunks: made.sequence), made.source)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var chunks: Producer.AsyncIterator

        public mutating func next() async throws -> ByteBuffer? {
            try await chunks.next(isolation: #isolation)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(chunks: chunks.makeAsyncIterator())
    }

    /// Reads the whole body.
    ///
    /// - Parameter limit: in bytes.
    /// - Throws: `HTTPClientError.bodyTooLarge` as soon as the body is longer than `limit`, and as iteration does.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        var body = ByteBuffer()
        for try await chunk in self {
            guard chunk.readableBytes <= limit - body.readableBytes else {
                throw HTTPClientError.bodyTooLarge(limit: limit)
            }
            if body.readableBytes == 0 {
                body = chunk
            } else {
                body.writeImmutableBuffer(chunk)
            }
        }
        return body
    }
}

/// Tells a connection what the reader of a body wants: more, or no more.
struct ResponseDemand: NIOAsyncSequenceProducerDelegate {
    let connection: HTTPConnection
    let exchange: HTTPExchange.ID

    func produceMore() {
        connection.onLoop { $0.resumeReading(exchange) }
    }

    func didTerminate() {
        connection.onLoop { $0.fail(exchange, CancellationError()) }
    }
}
