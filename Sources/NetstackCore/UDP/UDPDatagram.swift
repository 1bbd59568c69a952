// One UDP datagram with its addresses.

public import NIOCore

/// A datagram as it came in, or as it is to go out (RFC 768).
public struct UDPDatagram: Sendable, Hashable {
    /// The longest payload of a datagram in bytes: 65,535 less the headers of IPv4 and UDP.
    public static let maximumPayload = 65507

    /// Who has sent it.
    public var source: TransportAddress
    /// Whom it is for.
    public var destination: TransportAddress
    /// What it carries, without headers.
    public var payload: ByteBuffer

    /// A datagram to be sent.
    public init(source: TransportAddress, destination: TransportAddress, payload: ByteBuffer) {
        self.source = source
        self.destination = destination
        self.payload = payload
    }
}
