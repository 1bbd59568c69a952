// DNS over TCP (RFC 7766), on the server's side.

import NIOCore
import Netstack

/// A connection that carries queries and answers, each after its length. Answers come in the order in which they are found
/// (RFC 7766 section 7).
final class NameServerConnection: TCPControlBlockDelegate {
    /// Queries that may wait for answers. Beyond: no more is read.
    static let queryLimit = 16

    private let block: TCPControlBlock
    private unowned let server: NameServer
    private var received = ByteBuffer()
    private var unsent = ByteBuffer()
    private var waiting = 0
    private var isAnswering = false
    private var isEnded = false
    private var lastUse: NIODeadline

    init(_ block: TCPControlBlock, server: NameServer) {
        self.block = block
        self.server = server
        lastUse = block.stack.eventLoop.now
    }

    private var now: NIODeadline { block.stack.eventLoop.now }

    func start() {
        block.delegate = self
        watchIdleness()
        answerQueries()
    }

    func controlBlockCanRead(_ block: TCPControlBlock) { answerQueries() }

    func controlBlockCanWrite(_ block: TCPControlBlock) {
        write()
        answerQueries()
    }

    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError) { end() }

    private func answerQueries() {
        // An answer that comes at once must not begin this again.
        guard !isAnswering else { return }
        isAnswering = true
        defer { isAnswering = false }
        // A peer that does not take its answers is not heard.
        while !isEnded, waiting < Self.queryLimit, unsent.readableBytes == 0 {
            if let query = received.readLengthPrefixedSlice(as: UInt16.self) {
                lastUse = now
                waiting += 1
                let isAnswered = server.answer(query, from: block.remote.address, isOverTCP: true) { [weak self] in
                    self?.send($0)
                }
                if !isAnswered { waiting -= 1 }
            } else if let bytes = block.read(upTo: 1 << 16) {
                received.discardReadBytes()
                received.writeImmutableBuffer(bytes)
            } else {
                break
            }
        }
        if block.isFinished, waiting == 0, unsent.readableBytes == 0 { end() }
    }

    private func send(_ message: ByteBuffer) {
        guard !isEnded else { return }
        waiting -= 1
        lastUse = now
        unsent.writeInteger(UInt16(clamping: message.readableBytes))
        unsent.writeImmutableBuffer(message)
        write()
        answerQueries()
    }

    private func write() {
        do {
            // Whatever comes of it comes later: it leads here again.
            try block.stack.withoutNews { () throws(NetstackError) in try block.write(&unsent) }
            unsent.discardReadBytes()
        } catch {
            end()
        }
    }

    private func end() {
        guard !isEnded else { return }
        isEnded = true
        block.close()
        server.ended(self)
    }

    private func watchIdleness() {
        block.stack.eventLoop.assumeIsolated().scheduleTask(deadline: lastUse + server.patience) { [weak self] in
            guard let self, !isEnded else { return }
            let isIdle = waiting == 0 && now >= lastUse + server.patience
            if waiting > 0 { lastUse = now }
            if isIdle { end() } else { watchIdleness() }
        }
    }
}
