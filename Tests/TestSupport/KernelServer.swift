// Real servers on loopback: blocking sockets of the kernel, a thread each, and nothing of what is tested.

import Glibc
package import NIOCore
package import Netstack

/// A connected TCP socket of the kernel.
package struct KernelSocket: Sendable {
    private let descriptor: CInt

    fileprivate init(_ descriptor: CInt) { self.descriptor = descriptor }

    /// What has arrived, at least one byte; nil at the end.
    ///
    /// - Throws: `KernelError`.
    package func read() throws -> ByteBuffer? {
        var buffer = ByteBuffer()
        let count = try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1 << 16) { bytes in
            let count = Glibc.recv(descriptor, bytes.baseAddress, bytes.count, 0)
            guard count >= 0 else { throw KernelError(code: errno) }
            return count
        }
        return count > 0 ? buffer : nil
    }

    package func readToEnd() throws -> ByteBuffer {
        var all = ByteBuffer()
        while let bytes = try read() { all.writeImmutableBuffer(bytes) }
        return all
    }

    package func write(_ bytes: ByteBuffer) throws {
        var rest = bytes
        while rest.readableBytes > 0 {
            let count = rest.withUnsafeReadableBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw KernelError(code: errno) }
            rest.moveReaderIndex(forwardBy: count)
        }
    }

    package func write(_ text: String) throws { try write(ByteBuffer(string: text)) }

    package func closeWrite() { _ = Glibc.shutdown(descriptor, CInt(SHUT_WR)) }

    /// A connection to a port of 127.0.0.1, for as long as `body` runs.
    package static func with<Result>(port: Int, _ body: (KernelSocket) throws -> Result) throws -> Result {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw KernelError(code: errno) }
        defer { Glibc.close(descriptor) }
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        guard address.withSockAddr({ Glibc.connect(descriptor, $0, socklen_t($1)) }) == 0 else {
            throw KernelError(code: errno)
        }
        return try body(KernelSocket(descriptor))
    }

    /// Makes the coming close a reset.
    package func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}

package struct KernelError: Error {
    package let code: CInt
}

/// A TCP server on 127.0.0.1 or ::1 that runs a behaviour for each connection, and closes it after.
package final class KernelServer: Sendable {
    private let descriptor: CInt
    package let port: UInt16

    package init(_ version: IPVersion = .v4, serve: @escaping @Sendable (KernelSocket) throws -> Void) throws {
        let (descriptor, port) = try boundSocket(version, SOCK_STREAM)
        guard listen(descriptor, 1024) == 0 else { throw KernelError(code: errno) }
        (self.descriptor, self.port) = (descriptor, port)
        startThread {
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                startThread {
                    try? serve(KernelSocket(connection))
                    close(connection)
                }
            }
            close(descriptor)
        }
    }

    /// Accepts no more. Connections go on to their ends.
    deinit { _ = shutdown(descriptor, CInt(SHUT_RDWR)) }

    /// Sends everything back, and its end after the end.
    package static func echo(_ version: IPVersion = .v4) throws -> KernelServer {
        try KernelServer(version) { socket in
            while let bytes = try socket.read() { try socket.write(bytes) }
        }
    }
}

/// A UDP socket on 127.0.0.1 or ::1 that answers datagrams: by default with what they were.
package final class KernelEchoSocket: Sendable {
    private let descriptor: CInt
    package let port: UInt16

    /// - Parameter answer: makes the answer to a datagram and its sender; nil for none.
    package init(
        _ version: IPVersion = .v4,
        answer: @escaping @Sendable (ByteBuffer, TransportAddress) -> ByteBuffer? = { datagram, _ in datagram }
    ) throws {
        let (descriptor, port) = try boundSocket(version, SOCK_DGRAM)
        (self.descriptor, self.port) = (descriptor, port)
        startThread {
            var bytes = [UInt8](repeating: 0, count: 65536)
            while true {
                var peer = sockaddr_storage()
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let sent = withUnsafeMutablePointer(to: &peer) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { peer in
                        let count = recvfrom(descriptor, &bytes, bytes.count, 0, peer, &length)
                        // A datagram that has no address behind it means that the socket has been shut down.
                        guard count >= 0, length > 0 else { return -1 }
                        let address = TransportAddress(.any(version), UInt16(bigEndian: Self.port(peer)))
                        guard let reply = answer(ByteBuffer(bytes: bytes[..<count]), address) else { return 0 }
                        let bytes = Array(reply.readableBytesView)
                        return sendto(descriptor, bytes, bytes.count, 0, peer, length)
                    }
                }
                if sent < 0 { break }
            }
            close(descriptor)
        }
    }

    /// It lies at the same place in both kinds of address.
    private static func port(_ address: UnsafeMutablePointer<sockaddr>) -> UInt16 {
        UnsafeRawPointer(address).load(fromByteOffset: 2, as: UInt16.self)
    }

    deinit { _ = shutdown(descriptor, CInt(SHUT_RDWR)) }
}

/// A port of 127.0.0.1 at which nothing listens: a socket that does not has it until the process ends, so that no other
/// test gets it.
package func closedPort() throws -> UInt16 { try boundSocket(.v4, SOCK_STREAM).1 }

/// A port of 127.0.0.1 at which a listener answers no SYN: its queue is full, until the process ends.
package func silentPort() throws -> UInt16 {
    let (listener, port) = try boundSocket(.v4, SOCK_STREAM)
    guard listen(listener, 0) == 0 else { throw KernelError(code: errno) }
    let address = try TransportAddress(.v4(.loopback), port).socketAddress()
    for _ in 0..<2 {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        _ = address.withSockAddr { connect(descriptor, $0, socklen_t($1)) }
    }
    return port
}

private func boundSocket(_ version: IPVersion, _ type: __socket_type) throws -> (CInt, UInt16) {
    let loopback = TransportAddress(version == .v4 ? .v4(.loopback) : .v6(.loopback), 0)
    let descriptor = socket(version == .v4 ? AF_INET : AF_INET6, CInt(type.rawValue), 0)
    guard descriptor >= 0 else { throw KernelError(code: errno) }
    let bound = try loopback.socketAddress().withSockAddr { bind(descriptor, $0, socklen_t($1)) }
    guard bound == 0 else { throw KernelError(code: errno) }
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    // The port lies at the same place in both kinds of address.
    let port = withUnsafeBytes(of: &address) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    return (descriptor, port)
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let result = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
    if result == 0 { pthread_detach(thread) } else { box.release() }
}
