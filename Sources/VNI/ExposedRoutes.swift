// Which destinations an exit lets through, and where they really are.

import Netstack

/// The routes an exit exposes. With none, nothing is reachable.
struct ExposedRoutes: Sendable {
    /// Blocks, and where the address of a single-address block leads instead of to itself.
    private var targets: [CIDRBlock: IPAddress?] = [:]

    mutating func expose(_ block: CIDRBlock) { targets[block] = .some(nil) }

    mutating func expose(_ block: CIDRBlock, to target: IPAddress) throws(VNIError) {
        guard block.isSingleAddress else { throw .targetNeedsSingleAddress(block) }
        guard block.address.version == target.version else { throw .versionMismatch(block, target: target) }
        targets[block] = target
    }

    mutating func remove(_ block: CIDRBlock) { targets[block] = nil }

    /// The address to dial for `destination`: nil when it is not exposed. The longest matching prefix decides.
    func target(for destination: IPAddress) -> IPAddress? {
        let match = targets.filter { $0.key.contains(destination) }.max { $0.key.prefixLength < $1.key.prefixLength }
        guard let match else { return nil }
        if let target = match.value { return target }
        // The exit host's own loopback is reached only through a route's target.
        return destination.isLoopback ? nil : destination
    }
}
