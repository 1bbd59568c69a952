// Sockets of the kernel that block the thread of their lane.

import BenchmarkReport
import Glibc
import NIOCore
import Netstack

actor KernelConnection: BenchmarkConnection {
    private static let bufferSize = 256 << 10

    private nonisolated let executor: any SerialExecutor
    /// Nil once closed.
    private var socket: Descriptor?
    private var buffer = ByteBuffer()

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ socket: Descriptor, on executor: any SerialExecutor) {
        self.socket = socket
        self.executor = executor
    }

    func read(upTo limit: Int) throws -> ByteBuffer? {
        guard let socket else { throw NetstackError.closed }
        // Uses its storage again, unless the caller still holds what was read last.
        buffer.clear()
        let size = min(limit, Self.bufferSize)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
            try check("recv") { recv(socket.number, bytes.baseAddress, size, 0) }
        }
        return buffer.readableBytes > 0 ? buffer : nil
    }

    func write(_ bytes: ByteBuffer) throws {
        guard let socket else { throw NetstackError.closed }
        var rest = bytes
        while rest.readableBytes > 0 {
            let count = try rest.withUnsafeReadableBytes { bytes in
                try check("send") { send(socket.number, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL)) }
            }
            rest.moveReaderIndex(forwardBy: count)
        }
    }

    func close() { socket = nil }
}

/// A UDP socket on a loopback address that talks to one peer at a time.
actor KernelDatagramSocket: BenchmarkSocket {
    private nonisolated let executor: any SerialExecutor
    private let socket: Descriptor
    private let local: TransportAddress
    private var peer: TransportAddress

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ socket: Descriptor, local: TransportAddress, on executor: any SerialExecutor) {
        self.socket = socket
        self.local = local
        peer = local
        self.executor = executor
    }

    func send(_ payload: ByteBuffer, to destination: TransportAddress) throws {
        if peer != destination {
            let address = try destination.socketAddress()
            try check("connect") { address.withSockAddr { Glibc.connect(socket.number, $0, socklen_t($1)) } }
            peer = destination
        }
        _ = try payload.withUnsafeReadableBytes { bytes in
            try check("send") { Glibc.send(socket.number, bytes.baseAddress, bytes.count, 0) }
        }
    }

    func receive() throws -> UDPDatagram {
        var payload = ByteBuffer()
        try payload.writeWithUnsafeMutableBytes(minimumWritableBytes: UDPDatagram.maximumPayload) { bytes in
            try check("recv") { recv(socket.number, bytes.baseAddress, bytes.count, 0) }
        }
        return UDPDatagram(source: peer, destination: local, payload: payload)
    }
}
