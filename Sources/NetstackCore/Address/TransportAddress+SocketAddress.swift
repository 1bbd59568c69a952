// Transport addresses as the kernel and SwiftNIO write them, and back.

package import Glibc
public import NIOCore

extension TransportAddress {
    /// The IP address of a socket; nil for a Unix-domain socket's.
    public init?(_ socketAddress: SocketAddress) {
        guard let address = socketAddress.withSockAddr({ address, _ in TransportAddress(address) }) else { return nil }
        self = address
    }

    /// The address that the kernel has written: the structure at `address` is that of the family it names. Nil if that is
    /// not of an IP version.
    package init?(_ address: UnsafePointer<sockaddr>) {
        let bytes = UnsafeRawPointer(address)
        switch CInt(address.pointee.sa_family) {
        case AF_INET:
            let socket = bytes.loadUnaligned(as: sockaddr_in.self)
            let address = IPv4Address(rawValue: UInt32(bigEndian: socket.sin_addr.s_addr))
            self.init(.v4(address), UInt16(bigEndian: socket.sin_port))
        case AF_INET6:
            let socket = bytes.loadUnaligned(as: sockaddr_in6.self)
            let bits = withUnsafeBytes(of: socket.sin6_addr) { UInt128(bigEndian: $0.loadUnaligned(as: UInt128.self)) }
            self.init(.v6(IPv6Address(rawValue: bits)), UInt16(bigEndian: socket.sin6_port))
        default:
            return nil
        }
    }

    /// The same as SwiftNIO writes it.
    ///
    /// - Throws: never in practice; SwiftNIO's initialiser is declared to.
    public func socketAddress() throws -> SocketAddress {
        var bytes = ByteBuffer()
        switch address {
        case .v4(let address): bytes.writeInteger(address.rawValue)
        case .v6(let address): bytes.writeInteger(address.rawValue)
        }
        return try SocketAddress(packedIPAddress: bytes, port: Int(port))
    }
}
