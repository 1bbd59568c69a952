// Why a TUN device can't be had.

import Glibc

/// What opening a ``TunLink`` failed with.
public enum TunError: Error, Hashable, Sendable {
    /// This kernel offers no TUN devices: /dev/net/tun is not there, or has nothing behind it.
    case notAvailable
    /// `operation` takes CAP_NET_ADMIN in the device's network namespace, or a device that belongs to this user.
    case notPermitted(operation: String)
    /// Another program holds the device of this name, or what has it is no TUN device.
    case nameTaken(String)
    /// No device can be called this: names have up to 15 bytes, without `/`, `:` and white space.
    case invalidName(String)
    /// The kernel has no device of this MTU.
    case mtuOutOfRange(Int, range: ClosedRange<Int>)
    /// `path` does not lead to a network namespace; `reason` is the system's.
    case noNetworkNamespace(path: String, reason: String)
    /// Any other failure of the system, in its own words.
    case system(operation: String, reason: String)
}

extension TunError {
    /// What `operation` has left in `errno`.
    init(errno code: CInt, _ operation: String) {
        switch code {
        case EPERM, EACCES: self = .notPermitted(operation: operation)
        default: self = .system(operation: operation, reason: String(cString: strerror(code)))
        }
    }
}

extension TunError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .notAvailable: "this kernel has no TUN devices: /dev/net/tun is missing"
        case .notPermitted(let operation): "not permitted: \(operation)"
        case .nameTaken(let name): "there is a device \(name) already, and it can't be attached to"
        case .invalidName(let name): "\"\(name)\" can't be the name of a device"
        case .mtuOutOfRange(let mtu, let range): "MTU \(mtu) is outside of \(range.lowerBound)…\(range.upperBound)"
        case .noNetworkNamespace(let path, let reason): "\(path) is not a network namespace: \(reason)"
        case .system(let operation, let reason): "\(operation) failed: \(reason)"
        }
    }
}
