// A TCP connection as the event loop sees it: lwIP's pcb, what it has received, and what is to be told.

import CLwIP
package import NIOCore

/// Hears of a connection's events, on the event loop, after the library has been left: it may call back freely.
package protocol TCPControlBlockDelegate: AnyObject {
    /// There is something to read: bytes, or the end.
    func controlBlockCanRead(_ block: TCPControlBlock)
    /// A write that found no room would find some now.
    func controlBlockCanWrite(_ block: TCPControlBlock)
    /// The connection is gone. Nothing else follows.
    func controlBlockFailed(_ block: TCPControlBlock, _ error: NetstackError)
}

/// The transmission control block of RFC 9293: one connection, opening, open or closing.
///
/// The stack holds it for as long as lwIP may call it.
package final class TCPControlBlock {
    struct ID: Hashable {
        var nic: NICID
        var local: TransportAddress
        var remote: TransportAddress
    }

    private struct Events: OptionSet {
        let rawValue: UInt8
        static let opened = Events(rawValue: 1)
        static let canRead = Events(rawValue: 2)
        static let canWrite = Events(rawValue: 4)
        static let failed = Events(rawValue: 8)
    }

    let id: ID
    /// Whether the peer dialled.
    private let isPassive: Bool
    package var local: TransportAddress { id.local }
    package var remote: TransportAddress { id.remote }
    package let stack: StackCore

    /// lwIP's connection, until it is freed or left to finish by itself.
    private(set) var pcb: UnsafeMutablePointer<tcp_pcb>?
    /// Told once, when the handshake is complete or has failed.
    var opened: ((Result<Void, NetstackError>) -> Void)?
    package private(set) var failure: NetstackError?
    /// Bytes that have arrived in order and have not been read.
    private var received = ByteBuffer()
    /// Whether the peer has closed its direction. What it sent before may still be unread.
    private var peerFinished = false
    private var writeClosed = false
    private var handshakeDone = false
    private var waitsForRoom = false
    private var events: Events = []

    /// Events that came before there was a delegate are told now.
    package weak var delegate: (any TCPControlBlockDelegate)? {
        didSet { if !events.isEmpty { stack.touch(self) } }
    }

    /// Takes over a pcb that belongs to the current instance. Called inside the library.
    init(_ pcb: UnsafeMutablePointer<tcp_pcb>, id: ID, stack: StackCore) {
        self.pcb = pcb
        self.id = id
        self.stack = stack
        isPassive = pcb.pointee.state == SYN_RCVD
        // A dialler that vanishes must not be waited for for ever (RFC 1122 section 4.2.3.6).
        if isPassive { clwip_tcp_keepalive_enable(pcb) }
        clwip_tcp_nagle_disable(pcb)
        // The pointer stays good: the stack holds this object until `release`, which takes the pointer back.
        tcp_arg(pcb, Unmanaged.passUnretained(self).toOpaque())
        tcp_recv(pcb) { argument, _, packet, _ in
            TCPControlBlock.with(argument) { $0.libraryReceived(packet) }
            return err_t(ERR_OK.rawValue)
        }
        tcp_sent(pcb) { argument, pcb, _ in
            guard let pcb else { return err_t(ERR_OK.rawValue) }
            // Waking a writer for every acknowledgment would cut its data into small writes.
            if clwip_tcp_sndbuf(pcb) >= UInt32(TCP_SND_BUF) / 4 { TCPControlBlock.with(argument) { $0.librarySent() } }
            return err_t(ERR_OK.rawValue)
        }
        tcp_err(pcb) { argument, error in
            TCPControlBlock.with(argument) { $0.libraryFailed(error) }
        }
    }

    private static func with(_ argument: UnsafeMutableRawPointer?, _ body: (TCPControlBlock) -> Void) {
        guard let argument else { return }
        // Retained for the call: what it does may make the stack let go of the block.
        body(Unmanaged<TCPControlBlock>.fromOpaque(argument).takeUnretainedValue())
    }

    // MARK: Called by the library

    func libraryOpened() {
        if isHalfOpen { stack.halfOpenCount -= 1 }
        handshakeDone = true
        note(.opened)
    }

    private func libraryReceived(_ packet: UnsafeMutablePointer<pbuf>?) {
        guard let packet else {
            peerFinished = true
            note(.canRead)
            // With both directions finished, lwIP sees the rest through and frees the pcb without a word.
            if writeClosed { release() }
            return
        }
        var part: UnsafeMutablePointer<pbuf>? = packet
        while let current = part {
            received.writeBytes(UnsafeRawBufferPointer(start: current.pointee.payload, count: Int(current.pointee.len)))
            part = current.pointee.next
        }
        pbuf_free(packet)
        note(.canRead)
    }

    private func librarySent() {
        if waitsForRoom { note(.canWrite) }
    }

    /// The pcb is already freed.
    private func libraryFailed(_ error: err_t) {
        pcb = nil
        stack.forget(self)
        // LAST-ACK has been acknowledged: a close in good order.
        if Int(error) == Int(ERR_CLSD.rawValue) { return }
        if Int(error) == Int(ERR_RST.rawValue) {
            record(handshakeDone ? .connectionReset : .refused(remote))
        } else {
            record(.timedOut(remote))
        }
    }

    // MARK: State

    /// The connection as a value that may leave the event loop.
    package var bound: NIOLoopBound<TCPControlBlock> { NIOLoopBound(self, eventLoop: stack.eventLoop) }
    /// Whether the handshake is under way: ours, or one the peer has begun.
    var isOpening: Bool { pcb != nil && !handshakeDone }
    /// Whether the peer has begun the handshake and not finished it.
    var isHalfOpen: Bool { !handshakeDone && isPassive }

    /// Whether `sequence` is among what has been sent and not acknowledged.
    func hasInFlight(_ sequence: UInt32) -> Bool { pcb.map { clwip_tcp_in_flight($0, sequence) != 0 } ?? false }

    // MARK: Reading

    /// Whether everything the peer sent has been read, and its end seen.
    package var isFinished: Bool { peerFinished && received.readableBytes == 0 }
    /// Whether a read would not have to wait: for bytes, or the end.
    var canRead: Bool { received.readableBytes > 0 || peerFinished }

    /// Takes what has arrived, up to `limit` bytes, and opens the window by as much.
    package func read(upTo limit: Int = .max) -> ByteBuffer? {
        let count = min(limit, received.readableBytes)
        guard count > 0 else { return nil }
        let bytes: ByteBuffer
        if count == received.readableBytes {
            bytes = received
            received = ByteBuffer()
        } else {
            guard let head = received.readSlice(length: count) else { return nil }
            bytes = head
        }
        openWindow(by: count)
        return bytes
    }

    private func openWindow(by count: Int) {
        guard pcb != nil else { return }
        stack.turn {
            var left = count
            while left > 0, let pcb {
                let step = UInt16(clamping: left)
                tcp_recved(pcb, step)
                left -= Int(step)
            }
        }
    }

    // MARK: Writing

    /// Queues as much as there is room for; the rest stays in `bytes`, and the delegate hears when there is more room.
    package func write(_ bytes: inout ByteBuffer) throws(NetstackError) {
        if let failure { throw failure }
        guard pcb != nil, !writeClosed else { throw .closed }
        let code = stack.turn { () -> err_t in
            guard let pcb else { return err_t(ERR_CLSD.rawValue) }
            var code = err_t(ERR_OK.rawValue)
            while code == 0, bytes.readableBytes > 0 {
                let room = Int(clwip_tcp_sndbuf(pcb))
                guard room > 0 else { break }
                var count = min(room, bytes.readableBytes, Int(UInt16.max))
                clwip_tcp_settle_segment_size(pcb)
                // All or nothing, within a number of segments: where these are small, a part must do.
                repeat {
                    code = bytes.withUnsafeReadableBytes {
                        tcp_write(pcb, $0.baseAddress, UInt16(count), UInt8(TCP_WRITE_FLAG_COPY))
                    }
                    if code != err_t(ERR_MEM.rawValue) || count <= Int(pcb.pointee.mss) { break }
                    count /= 2
                } while true
                if code == 0 { bytes.moveReaderIndex(forwardBy: count) }
            }
            tcp_output(pcb)
            return code
        }
        waitsForRoom = bytes.readableBytes > 0
        switch code {
        case err_t(ERR_OK.rawValue), err_t(ERR_MEM.rawValue): break
        default: throw .library(operation: "a write", code: Int(code))
        }
    }

    /// Half-closes: the peer reads the end after everything written so far. Reading goes on.
    package func closeWrite() {
        guard let pcb, !writeClosed else { return }
        writeClosed = true
        stack.turn { _ = tcp_shutdown(pcb, 0, 1) }
        if peerFinished, self.pcb != nil, pcb.pointee.state != LAST_ACK { release() }
    }

    // MARK: Ending

    /// Closes both directions. What has been written is still delivered; what has not been read is lost.
    package func close() {
        guard let pcb else { return }
        discardReceived()
        // Left with a shrunken window, lwIP would send a reset in place of the FIN.
        stack.turn {
            release()
            _ = tcp_close(pcb)
        }
        record(.closed)
    }

    /// Ends the connection at once, and tells the peer by a reset.
    package func reset() { end(.closed, tellPeer: true) }

    /// Lets go of a connection that its user has: one closed in both directions is left to deliver what was written.
    func abandon() {
        if writeClosed, peerFinished { close() } else { reset() }
    }

    func end(_ error: NetstackError, tellPeer: Bool) {
        guard let pcb else { return record(error) }
        stack.turn {
            release()
            tcp_abandon(pcb, tellPeer ? 1 : 0)
        }
        record(error)
    }

    private func discardReceived() {
        let unread = received.readableBytes
        received.clear()
        openWindow(by: unread)
    }

    /// Leaves the pcb to lwIP, which calls back no more.
    private func release() {
        guard let pcb else { return }
        tcp_arg(pcb, nil)
        tcp_recv(pcb, nil)
        tcp_sent(pcb, nil)
        tcp_err(pcb, nil)
        self.pcb = nil
        stack.forget(self)
    }

    private func record(_ error: NetstackError) {
        guard failure == nil else { return }
        failure = error
        note(.failed)
    }

    // MARK: Telling

    private func note(_ event: Events) {
        if events.isEmpty { stack.touch(self) }
        events.insert(event)
    }

    /// Tells what has happened since the last time. Called outside of the library.
    func deliver() {
        if events.contains(.opened), let opened {
            self.opened = nil
            opened(.success(()))
        }
        if events.contains(.failed), let opened, let failure {
            self.opened = nil
            opened(.failure(failure))
        }
        events.remove(.opened)
        guard let delegate else { return }
        let events = events
        self.events = []
        if events.contains(.canRead) { delegate.controlBlockCanRead(self) }
        if events.contains(.canWrite), waitsForRoom { delegate.controlBlockCanWrite(self) }
        if events.contains(.failed), let failure { delegate.controlBlockFailed(self, failure) }
    }
}
