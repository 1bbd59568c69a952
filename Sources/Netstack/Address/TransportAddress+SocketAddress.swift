// Transport addresses as SwiftNIO's socket addresses, and back.

public import NIOCore

extension TransportAddress {
    /// The IP address of a socket; nil for a Unix-domain socket's.
    public init?(_ socketAddress: SocketAddress) {
        guard let port = socketAddress.port.flatMap(UInt16.init(exactly:)), let text = socketAddress.ipAddress,
            let address = try? IPAddress(text.prefix { $0 != "%" })
        else { return nil }
        self.init(address, port)
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
