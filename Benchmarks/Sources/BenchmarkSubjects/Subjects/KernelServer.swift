// The server on the kernel's stack.

import BenchmarkReport
import CKernelServer
import Glibc

package enum KernelServer {
    /// Starts it on this machine's loopback, in threads that last as long as the process, and returns where it listens.
    ///
    /// - Throws: `Fault`.
    package static func start() throws -> String {
        let port = kernel_server_start()
        guard port > 0 else { throw Fault("no server: \(String(cString: strerror(-port)))") }
        return "127.0.0.1:\(port)"
    }
}
