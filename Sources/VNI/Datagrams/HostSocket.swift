// A datagram socket of this host, and the errors that come back for what it has sent.

import CHost
import Glibc
import NIOCore
import Netstack

/// A UDP or an ICMP echo socket, non-blocking. NIO's datagram channels do not tell which ICMP error has come back.
final class HostSocket {
    enum Kind: Sendable {
        case udp
        /// An unprivileged socket for echo requests (net.ipv4.ping_group_range in icmp(7)).
        case echo
    }

    /// What has come back instead of a reply.
    struct ReturnedError {
        var error: ICMPError
        /// Whose ICMP message it was; nil where the host itself has found the error.
        var reporter: IPAddress?
        /// Where the datagram was going.
        var destination: TransportAddress?
        /// The start of the datagram.
        var quote: ByteBuffer
    }

    private let descriptor: CInt
    private let version: IPVersion
    private var hopLimit: UInt8?
    private var dontFragment: Bool?
    private var unwatch: (() -> Void)?

    /// - Throws: `IOError`; `EACCES` where the kernel does not allow echo sockets.
    init(_ kind: Kind, _ version: IPVersion) throws {
        self.version = version
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let number = kind == .udp ? 0 : version == .v4 ? CInt(IPPROTO_ICMP) : CInt(IPPROTO_ICMPV6)
        descriptor = socket(version == .v4 ? AF_INET : AF_INET6, type, number)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        set(IP_RECVERR, IPV6_RECVERR, 1)
    }

    deinit {
        unwatch?()
        close(descriptor)
    }

    /// Only this peer may send from now on.
    func connect(to peer: TransportAddress) -> CInt {
        let code = try? peer.socketAddress().withSockAddr { address, length in
            Glibc.connect(descriptor, address, socklen_t(length)) < 0 ? errno : 0
        }
        return code ?? EINVAL
    }

    /// Calls `ready` on the event loop each time that something has come.
    func watch(on eventLoop: any EventLoop, _ ready: @escaping @Sendable () -> Void) {
        unwatch = DescriptorWatcher.shared.watch(descriptor, on: eventLoop, ready)
    }

    // MARK: Sending

    /// Sends a datagram.
    ///
    /// - Returns: 0, or the `errno` of what kept it from leaving. An error that has come back for an earlier one is one, too.
    func send(_ payload: ByteBuffer, to peer: TransportAddress, hopLimit: UInt8, dontFragment: Bool) -> CInt {
        if hopLimit != self.hopLimit {
            self.hopLimit = hopLimit
            set(IP_TTL, IPV6_UNICAST_HOPS, CInt(hopLimit))
        }
        if dontFragment != self.dontFragment {
            self.dontFragment = dontFragment
            // IPv6's values are the same.
            set(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, dontFragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT)
        }
        let code = try? peer.socketAddress().withSockAddr { address, length in
            payload.withUnsafeReadableBytes { bytes -> CInt in
                let flags = CInt(MSG_NOSIGNAL)
                return sendto(descriptor, bytes.baseAddress, bytes.count, flags, address, socklen_t(length)) < 0
                    ? errno : 0
            }
        }
        return code ?? EINVAL
    }

    /// Sets the option that goes with the IP version.
    private func set(_ optionV4: CInt, _ optionV6: CInt, _ value: CInt) {
        var value = value
        let (level, option) = version == .v4 ? (IPPROTO_IP, optionV4) : (IPPROTO_IPV6, optionV6)
        setsockopt(descriptor, CInt(level), option, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    // MARK: Receiving

    /// The next datagram and its sender; nil when there is none.
    func receive() -> (payload: ByteBuffer, source: TransportAddress)? {
        withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 8) { bytes in
            // An error that has come back ends a receive, once: it stays to be taken.
            for _ in 0..<8 {
                var address = sockaddr_storage()
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let count = withUnsafeMutablePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(descriptor, bytes.baseAddress, bytes.count, 0, $0, &length)
                    }
                }
                if count >= 0, let source = TransportAddress(address) {
                    return (ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<count])), source)
                }
                if count < 0, errno == EAGAIN { break }
            }
            return nil
        }
    }

    /// The next error that has come back; nil when there is none.
    func takeError() -> ReturnedError? {
        var entry = host_socket_error()
        var quote = ByteBuffer()
        var count = 0
        quote.writeWithUnsafeMutableBytes(minimumWritableBytes: 1280) { bytes in
            count = host_socket_take_error(descriptor, &entry, bytes.baseAddress, bytes.count)
            return max(count, 0)
        }
        guard count >= 0 else { return nil }
        return ReturnedError(
            error: Self.error(entry, version), reporter: TransportAddress(entry.reporter)?.address,
            destination: TransportAddress(entry.destination), quote: quote)
    }

    /// As exact as it came: a code that has no case of its own is kept.
    private static func error(_ entry: host_socket_error, _ version: IPVersion) -> ICMPError {
        switch CInt(entry.origin) {
        case SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6:
            let known = ICMPError(type: entry.type, code: entry.code, parameter: entry.mtu, version: version)
            if let known, known.typeAndCode(version) == (entry.type, entry.code) { return known }
            return .other(type: entry.type, code: entry.code)
        default:
            return .packetTooBig(mtu: Int(entry.mtu))
        }
    }
}

extension TransportAddress {
    fileprivate init?(_ storage: sockaddr_storage) {
        let address = withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { TransportAddress($0) }
        }
        guard let address else { return nil }
        self = address
    }
}
