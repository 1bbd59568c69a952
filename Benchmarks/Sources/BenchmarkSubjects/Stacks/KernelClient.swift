// The kernel's stack as a client: plain blocking sockets, a thread for each task.

import Glibc
import NIOCore
import NIOPosix
import Netstack

struct KernelClient: BenchmarkClient {
    private let lanes: [KernelLane]

    /// - Parameter threads: as many tasks can wait for their sockets at once.
    init(threads: Int) {
        lanes = MultiThreadedEventLoopGroup(numberOfThreads: threads).makeIterator().map(KernelLane.init)
    }

    func lane(_ number: Int) -> KernelLane { lanes[number % lanes.count] }

    func connect(to server: TransportAddress, on lane: isolated KernelLane) async throws -> KernelConnection {
        let socket = try Descriptor(socket: SOCK_STREAM)
        try socket.setOption(CInt(IPPROTO_TCP), TCP_NODELAY, 1)
        let address = try server.socketAddress()
        try check("connect") { address.withSockAddr { Glibc.connect(socket.number, $0, socklen_t($1)) } }
        return KernelConnection(socket, on: lane.executor)
    }

    func openUDP(port: UInt16, on lane: isolated KernelLane) async throws -> KernelDatagramSocket {
        let socket = try Descriptor(socket: SOCK_DGRAM)
        let local = TransportAddress(.v4(.loopback), port)
        let address = try local.socketAddress()
        try check("bind") { address.withSockAddr { Glibc.bind(socket.number, $0, socklen_t($1)) } }
        return KernelDatagramSocket(socket, local: local, on: lane.executor)
    }
}

/// A thread that sockets may block.
actor KernelLane {
    nonisolated let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ eventLoop: any EventLoop) { executor = eventLoop.executor }
}
