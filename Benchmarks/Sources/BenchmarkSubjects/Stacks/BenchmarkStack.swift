// What a stack must be able to do to be measured. A stack is one file: a type that conforms, and what it wraps.

import NIOCore
import Netstack

/// One end of a link with a stack on it, as a client.
///
/// Workloads run as tasks on its lanes. An actor's methods, when called on that actor's lane, cost no hop.
protocol BenchmarkClient: Sendable {
    /// Where a task runs that uses the stack: an actor of the thread that is nearest to it.
    associatedtype Lane: Actor
    associatedtype Connection: BenchmarkConnection
    associatedtype Socket: BenchmarkSocket

    /// The lane for the one that counts `number` of tasks that work at the same time. Most stacks have only one.
    func lane(_ number: Int) -> Lane
    /// What its tasks are to prefer, if it has a say.
    var executor: (any TaskExecutor)? { get }

    func connect(to server: TransportAddress, on lane: isolated Lane) async throws -> Connection

    /// Opens a socket at a port, or any port if it is 0.
    func openUDP(port: UInt16, on lane: isolated Lane) async throws -> Socket
}

/// A stack of which two can be joined by a reliable link, so that one can be measured against the other.
protocol BenchmarkStack: BenchmarkClient {
    associatedtype Listener: AsyncSequence<Connection, any Error>, Sendable

    var address: IPAddress { get }

    /// Accepts connections, up to `backlog` that nobody has taken yet.
    func listen(port: UInt16, backlog: Int, on lane: isolated Lane) async throws -> Listener
}

protocol BenchmarkConnection: Sendable {
    /// What has arrived, up to `limit` bytes, waiting if need be; nil at the end.
    func read(upTo limit: Int) async throws -> ByteBuffer?
    func write(_ bytes: ByteBuffer) async throws
    func close() async
}

protocol BenchmarkSocket: Sendable {
    func send(_ payload: ByteBuffer, to destination: TransportAddress) async throws
    func receive() async throws -> UDPDatagram
}

extension BenchmarkClient {
    var executor: (any TaskExecutor)? { nil }
}
