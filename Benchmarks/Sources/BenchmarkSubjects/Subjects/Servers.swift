// Where a client's servers are.

import Netstack

/// The addresses of a server that does as the first byte of a connection says.
struct Servers: Sendable {
    /// All its ports; at least one.
    let all: [TransportAddress]

    /// One port for everything.
    init(_ address: TransportAddress) { all = [address] }

    /// Where the benchmark's own server listens on a stack: one port takes no more connections from an address than that
    /// has ports.
    static let ports: ClosedRange<UInt16> = 7001...7008

    /// The benchmark's own server, on a stack.
    init(on host: some BenchmarkStack) {
        all = Self.ports.map { TransportAddress(host.address, $0) }
    }

    var first: TransportAddress { all[0] }
}
