// Errors in the set-up of a virtual interface. What happens on its connections are errors of the stack.

public import Netstack

/// Why an interface can't be configured as asked.
public enum VNIError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Only an exit has routes to expose.
    case notAnExit
    /// The target of a route can't stand for the whole block: only a single address can be led elsewhere.
    case targetNeedsSingleAddress(CIDRBlock)
    /// The route's address and its target are of different IP versions.
    case versionMismatch(CIDRBlock, target: IPAddress)

    public var description: String {
        switch self {
        case .notAnExit: "routes can be exposed at an exit only, not at an entrance"
        case .targetNeedsSingleAddress(let block): "\(block) holds more than one address and can't lead to a single one"
        case .versionMismatch(let block, let target): "\(block) can't lead to \(target): the IP versions differ"
        }
    }
}
