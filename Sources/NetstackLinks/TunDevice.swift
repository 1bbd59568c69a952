// Makes a TUN device, in this network namespace or in another.

import CLinuxTun
import Glibc
import NIOPosix

/// An open TUN device that is up. It exists for as long as its descriptor, unless it was there before.
struct TunDevice: Sendable {
    /// What the kernel takes: from RFC 791's least to the longest IP packet.
    private static let mtuRange = 68...65535

    /// Reads and writes whole IP packets, without waiting.
    let descriptor: CInt
    let name: String

    /// Makes or attaches to a device, in the network namespace behind a path if one is given.
    ///
    /// A thread of its own enters the namespace and ends in it: all others stay where they are.
    static func open(name: String?, mtu: Int, networkNamespace: String?) async throws -> TunDevice {
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        let result = try await thread.runIfActive {
            Result { () throws(TunError) in
                if let networkNamespace { try enter(networkNamespace) }
                return try TunDevice(name: name, mtu: mtu)
            }
        }
        try await thread.shutdownGracefully()
        return try result.get()
    }

    private static func enter(_ path: String) throws(TunError) {
        let namespace = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard namespace >= 0 else { throw .noNetworkNamespace(path: path, reason: String(cString: strerror(errno))) }
        defer { Glibc.close(namespace) }
        guard setns(namespace, clinuxtun_network_namespace) == 0 else {
            guard errno == EINVAL else { throw TunError(errno: errno, "entering \(path)") }
            throw .noNetworkNamespace(path: path, reason: String(cString: strerror(EINVAL)))
        }
    }

    /// In the network namespace of the calling thread.
    private init(name: String?, mtu: Int) throws(TunError) {
        guard Self.mtuRange.contains(mtu) else { throw .mtuOutOfRange(mtu, range: Self.mtuRange) }
        var request = ifreq()
        if let name { try request.setName(name) }
        let descriptor = Glibc.open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT, ENODEV, ENXIO: throw .notAvailable
            default: throw TunError(errno: errno, "opening /dev/net/tun")
            }
        }
        do throws(TunError) {
            request.ifr_ifru.ifru_flags = Int16(IFF_TUN | IFF_NO_PI)
            guard ioctl(descriptor, clinuxtun_set_interface, &request) == 0 else {
                switch errno {
                case EBUSY, EINVAL: throw .nameTaken(name ?? "")
                default: throw TunError(errno: errno, "making a TUN device")
                }
            }
            try request.bringUp(mtu: mtu)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        self.name = request.name
    }
}

extension ifreq {
    /// The kernel has filled it in, or `setName` has: it ends with a zero.
    fileprivate var name: String {
        withUnsafeBytes(of: ifr_ifrn.ifrn_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    fileprivate mutating func setName(_ name: String) throws(TunError) {
        let isValid = name.utf8.allSatisfy { $0 > UInt8(ascii: " ") && !"/:".utf8.contains($0) }
        guard isValid, 1..<Int(IFNAMSIZ) ~= name.utf8.count, ![".", ".."].contains(name) else {
            throw .invalidName(name)
        }
        withUnsafeMutableBytes(of: &ifr_ifrn.ifrn_name) { $0.copyBytes(from: name.utf8) }
    }

    /// A device that somebody has set up already is left as it is: so its owner needs no privileges.
    fileprivate mutating func bringUp(mtu: Int) throws(TunError) {
        let socket = Glibc.socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw TunError(errno: errno, "configuring \(name)") }
        defer { Glibc.close(socket) }
        guard ioctl(socket, UInt(SIOCGIFMTU), &self) == 0 else { throw TunError(errno: errno, "configuring \(name)") }
        if ifr_ifru.ifru_mtu != CInt(mtu) {
            ifr_ifru.ifru_mtu = CInt(mtu)
            guard ioctl(socket, UInt(SIOCSIFMTU), &self) == 0 else {
                throw TunError(errno: errno, "setting the MTU of \(name)")
            }
        }
        guard ioctl(socket, UInt(SIOCGIFFLAGS), &self) == 0 else { throw TunError(errno: errno, "configuring \(name)") }
        let up = Int16(IFF_UP)
        if ifr_ifru.ifru_flags & up == 0 {
            ifr_ifru.ifru_flags |= up
            guard ioctl(socket, UInt(SIOCSIFFLAGS), &self) == 0 else {
                throw TunError(errno: errno, "bringing \(name) up")
            }
        }
    }
}
