// Which NIC a destination is reached through: the longest matching prefix wins.

/// A destination block and the NIC that leads there.
public struct Route: Hashable, Sendable, CustomStringConvertible {
    /// The addresses that it leads to.
    public var destination: CIDRBlock
    /// The NIC that packets to them leave by.
    public var nic: NICID

    /// A route to a block of addresses by a NIC.
    public init(to destination: CIDRBlock, via nic: NICID) {
        self.destination = destination
        self.nic = nic
    }

    public var description: String { "\(destination) via \(nic)" }
}

/// Routes ordered so that the first match is the longest; of equal prefixes the newest.
struct RoutingTable {
    private(set) var routes: [Route] = []

    mutating func add(_ route: Route) {
        routes.removeAll { $0 == route }
        let prefix = route.destination.prefixLength
        let index = routes.firstIndex { $0.destination.prefixLength <= prefix } ?? routes.endIndex
        routes.insert(route, at: index)
    }

    mutating func remove(_ route: Route) { routes.removeAll { $0 == route } }

    mutating func removeAll(via nic: NICID) { routes.removeAll { $0.nic == nic } }

    func nic(towards destination: IPAddress) -> NICID? {
        routes.first { $0.destination.contains(destination) }?.nic
    }
}
