// What listeners and sockets are found by.

/// A port at one address, or at all of the stack's when `address` is nil.
struct PortBinding: Hashable {
    var address: IPAddress?
    var port: UInt16
}

extension Dictionary where Key == PortBinding {
    /// The entry for exactly this address, or else the one for all addresses.
    func match(_ destination: TransportAddress) -> Value? {
        self[PortBinding(address: destination.address, port: destination.port)]
            ?? self[PortBinding(address: nil, port: destination.port)]
    }

    /// Takes `port`, or a free one when it is zero, for a new entry.
    func free(_ address: IPAddress?, port: UInt16) throws(NetstackError) -> PortBinding {
        let shown = TransportAddress(address ?? .v4(.any), port)
        if port != 0 {
            let key = PortBinding(address: address, port: port)
            guard self[key] == nil else { throw .addressInUse(shown) }
            return key
        }
        let free = freeEphemeralPort { self[PortBinding(address: address, port: $0)] == nil }
        guard let free else { throw .portsExhausted(shown) }
        return PortBinding(address: address, port: free)
    }
}

/// RFC 6335 section 6 sets these aside.
private let ephemeralPorts: ClosedRange<UInt16> = 49152...65535

/// RFC 6056, algorithm 1: a random start, then the next that is free, in a circle.
func freeEphemeralPort(where isFree: (UInt16) -> Bool) -> UInt16? {
    let start = UInt16.random(in: ephemeralPorts)
    return (start...ephemeralPorts.upperBound).first(where: isFree)
        ?? (ephemeralPorts.lowerBound..<start).first(where: isFree)
}
