// What routers have told about paths that a NIC's longest packets do not fit (RFC 1191, RFC 8201).

import NIOCore

/// The path MTUs that are smaller than the NIC's own, by destination.
struct PathMTUTable {
    /// RFC 8201 section 4: after ten minutes the path may be tried again.
    private static let lifetime = TimeAmount.minutes(10)
    private static let capacity = 1024

    private var paths: [IPAddress: (mtu: Int, expiry: NIODeadline)] = [:]

    /// The MTU towards a destination, where that has been told.
    func mtu(to destination: IPAddress, now: @autoclosure () -> NIODeadline) -> Int? {
        guard !paths.isEmpty, let path = paths[destination], path.expiry > now() else { return nil }
        return path.mtu
    }

    /// Takes note of what an ICMP error says that the path takes, in bytes.
    ///
    /// - Returns: the MTU to use from now on; nil when the error tells nothing new.
    mutating func record(_ told: Int, to destination: IPAddress, below current: Int, now: NIODeadline) -> Int? {
        // Every IPv6 link takes 1280 bytes (RFC 8200 section 5), every IPv4 host 576 (RFC 791). A forged error can't
        // make packets shorter than that.
        let mtu = max(told, destination.version == .v4 ? 576 : 1280)
        guard mtu < current else { return nil }
        if paths.count >= Self.capacity {
            paths = paths.filter { $0.value.expiry > now }
            if paths.count >= Self.capacity, let any = paths.keys.first { paths[any] = nil }
        }
        paths[destination] = (mtu, now + Self.lifetime)
        return mtu
    }
}
