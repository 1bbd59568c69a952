// A process of its own that opens and closes stacks, so that its memory is that of nothing else.
// Prints by how many KiB it grew from the first thousand to the last.

import Glibc
import NIOCore
import Netstack

@main
enum StackChurn {
    static func main() async throws {
        for _ in 0..<1000 { try await openAndClose() }
        let before = residentKilobytes()
        for _ in 0..<10_000 { try await openAndClose() }
        print(residentKilobytes() - before)
    }

    /// Two stacks with a connection, a listener and a socket; all in use when they are shut down.
    private static func openAndClose() async throws {
        let (a, b) = MemoryLink.pipe()
        let (near, far) = (try Stack(), try Stack())
        try await near.createNIC(1, link: a, addresses: [IPAddress("10.0.0.1")])
        try await far.createNIC(1, link: b, addresses: [IPAddress("10.0.0.2")])
        try await near.addRoute(to: .everyIPv4, via: 1)
        try await far.addRoute(to: .everyIPv4, via: 1)
        let listener = try await far.listen(port: 80)
        let socket = try await far.openUDP(port: 53)
        let connection = try await near.connect(to: TransportAddress("10.0.0.2:80"))
        try await connection.write(ByteBuffer(repeating: 1, count: 1000))
        await near.shutdown()
        await far.shutdown()
        _ = (listener, socket)
    }

    private static func residentKilobytes() -> Int {
        // The current size, not the peak: from the kernel's account of this process.
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var (total, resident) = (0, 0)
        _ = withUnsafeMutablePointer(to: &total) { total in
            withUnsafeMutablePointer(to: &resident) { resident in
                withVaList([total, resident]) { vfscanf(file, "%ld %ld", $0) }
            }
        }
        return resident * Int(sysconf(CInt(_SC_PAGESIZE))) / 1024
    }
}
