// Which destinations an exit lets through, and where they really are.

import Netstack

/// The routes an exit exposes. With none, nothing is reachable.
struct ExposedRoutes: Sendable {
    /// Longest prefixes first; of equal ones those that are narrowed.
    private var routes: [ExposedRoute] = []

    /// What a wider block does not expose: addresses of a link, of many hosts, or of a cloud host's own secrets.
    private static let guarded: [CIDRBlock] = [
        "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
        // Metadata services: most clouds, AWS, Google, Azure, Alibaba.
        "169.254.169.254/32", "fd00:ec2::/32", "fd20:ce::/32", "168.63.129.16/32", "100.100.100.200/32",
    ].compactMap { try? CIDRBlock($0) }

    /// Adds a route, in the place of one with the same block and services.
    mutating func expose(_ route: ExposedRoute) {
        routes.removeAll { $0.block == route.block && $0.services == route.services }
        let index = routes.firstIndex { Self.rank($0) <= Self.rank(route) } ?? routes.endIndex
        routes.insert(route, at: index)
    }

    private static func rank(_ route: ExposedRoute) -> (Int, Int) {
        (route.block.prefixLength, route.services.isEmpty ? 0 : 1)
    }

    /// Removes what was exposed with the same block and services; with no services, all routes of the block.
    mutating func remove(_ route: ExposedRoute) {
        routes.removeAll { $0.block == route.block && (route.services.isEmpty || $0.services == route.services) }
    }

    /// Where a dial leads: nil if no route covers it. Of several that do, the longest prefix decides.
    func target(for transport: ExitDial.Transport, _ destination: TransportAddress) -> TransportAddress? {
        let route = routes.first { route in
            route.covers(transport, destination)
                && Self.guarded.allSatisfy { !$0.contains(destination.address) || $0.contains(route.block) }
        }
        guard let route else { return nil }
        if let target = route.target { return TransportAddress(target, destination.port) }
        // The exit host's own loopback is reached only through a route's target.
        return destination.address.isLoopback ? nil : destination
    }
}
