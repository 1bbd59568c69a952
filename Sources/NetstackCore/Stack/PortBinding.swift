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
        // RFC 6056, algorithm 1: a random start, then the next that is free.
        let start = UInt16.random(in: ephemeralPorts)
        for offset in 0..<UInt16(ephemeralPorts.count) {
            let candidate = ephemeralPort(start, offset)
            let key = PortBinding(address: address, port: candidate)
            if self[key] == nil { return key }
        }
        throw .portsExhausted(shown)
    }
}

/// RFC 6335 section 6 sets these aside.
let ephemeralPorts: ClosedRange<UInt16> = 49152...65535

/// The port `offset` places after `start`, in a circle.
func ephemeralPort(_ start: UInt16, _ offset: UInt16) -> UInt16 {
    let count = UInt32(ephemeralPorts.count)
    let first = ephemeralPorts.lowerBound
    return first + UInt16((UInt32(start - first) + UInt32(offset)) % count)
}
