// A stack's own side of a link, for callers that carry packets themselves.

public import NIOCore

/// What a NIC sends comes out of its endpoint, and what is written to the endpoint goes into the NIC.
///
/// ```swift
/// let endpoint = Endpoint()
/// try await stack.createNIC(1, endpoint: endpoint, addresses: [address])
/// while let packet = try await endpoint.read() { … }   // packets from the stack
/// try await endpoint.write(packet)                       // packets for the stack
/// ```
/// An endpoint serves one NIC. Both directions are bounded: with 1 MiB unread, those wait who write to the
/// stack's connections and sockets, and what it answers by itself is dropped and counted; with 1 MiB not yet taken by the
/// stack, `write` waits.
public struct Endpoint: Link {
    /// The end that the stack holds.
    let stackSide: MemoryLink
    private let callerSide: MemoryLink

    /// An endpoint that no link is attached to.
    public init() {
        (stackSide, callerSide) = MemoryLink.pipe()
    }

    public var defaultMTU: Int { callerSide.defaultMTU }
    public func read() async throws -> ByteBuffer? { try await callerSide.read() }
    public func readBatch() async throws -> PacketBatch? { try await callerSide.readBatch() }
    public func write(_ packet: ByteBuffer) async throws { try await callerSide.write(packet) }
    public func writeBatch(_ packets: PacketBatch) async throws { try await callerSide.writeBatch(packets) }
    public func close() async { await callerSide.close() }
}
