// HTTP/1.1 at its least, the same over every stack: what is measured is what carries it.

import BenchmarkReport
import NIOCore

struct PlainHTTPClient<Connection: BenchmarkConnection>: Sendable {
    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    /// Makes a request, and returns the body of its answer.
    func get() async throws -> ByteBuffer {
        try await connection.write(HTTPBytes.request)
        var answer = ByteBuffer()
        while let bytes = try await connection.read(upTo: .max) {
            answer.writeImmutableBuffer(bytes)
            if let body = HTTPBytes.body(ofAnswer: answer) { return body }
        }
        throw Fault("the server has closed before its answer was complete")
    }
}

/// Requests and answers as all servers and clients of the benchmark write them.
enum HTTPBytes {
    static let request = ByteBuffer(string: "GET / HTTP/1.1\r\nHost: server\r\n\r\n")
    static let body = ByteBuffer(string: "hello, world\n")
    static let answer = ByteBuffer(
        string: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, world\n")
    private static let endOfHead = ByteBuffer(string: "\r\n\r\n")

    /// The body, once the answer is complete.
    static func body(ofAnswer answer: ByteBuffer) -> ByteBuffer? {
        let start = answer.writerIndex - body.readableBytes
        let end = answer.getSlice(at: start - endOfHead.readableBytes, length: endOfHead.readableBytes)
        return end == endOfHead ? answer.getSlice(at: start, length: body.readableBytes) : nil
    }

    /// How many requests end in `bytes`, which follow others of which `matched` bytes of an end have come.
    static func requests(endingIn bytes: ByteBuffer, matched: inout UInt8) -> Int {
        let end = endOfHead.readableBytesView
        var count = 0
        for byte in bytes.readableBytesView {
            matched = byte == end[end.startIndex + Int(matched)] ? matched + 1 : byte == end[end.startIndex] ? 1 : 0
            if matched == end.count {
                count += 1
                matched = 0
            }
        }
        return count
    }
}
