// A descriptor of the kernel that is closed with its last reference, and what system calls return.

import BenchmarkReport
import Glibc

final class Descriptor: Sendable {
    let number: CInt

    init(_ number: CInt) { self.number = number }

    /// A socket of the kernel for IPv4.
    init(socket type: __socket_type) throws {
        number = try check("socket") { socket(AF_INET, CInt(type.rawValue), 0) }
    }

    deinit { close(number) }

    func setOption(_ level: CInt, _ option: CInt, _ value: CInt) throws {
        var value = value
        try check("setsockopt") { setsockopt(number, level, option, &value, socklen_t(MemoryLayout<CInt>.size)) }
    }
}

/// Makes a system call.
///
/// - Throws: `Fault` with the text of `errno` when it has failed.
@discardableResult
func check<Value: SignedInteger>(_ name: String, _ call: () -> Value) throws -> Value {
    let value = call()
    guard value >= 0 else { throw Fault("\(name): \(String(cString: strerror(errno)))") }
    return value
}

/// Lets this process have as many descriptors open as it may.
package func raiseDescriptorLimit() {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
