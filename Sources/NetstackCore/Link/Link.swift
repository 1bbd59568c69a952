// What carries packets between two stacks. Conforming takes one method in each direction.

public import NIOCore

/// Where packets come from.
public protocol LinkReader: Sendable {
    /// Waits for the next IP packet. `nil` means that the link has ended in good order.
    ///
    /// - Throws: anything that ended the link. It is reported to the interface, and not called again.
    func read() async throws -> ByteBuffer?

    /// Waits for at least one packet and returns it with all that are there already.
    ///
    /// The default reads one packet. A link that can read several at once is much faster with its own.
    func readBatch() async throws -> PacketBatch?
}

/// Where packets go.
public protocol LinkWriter: Sendable {
    /// Sends one whole IP packet. Returning means that the link took it; taking long pushes back on the
    /// stack's TCP writers. A link that loses packets drops them here and returns.
    ///
    /// - Throws: anything that ended the link.
    func write(_ packet: ByteBuffer) async throws

    /// Sends packets in order. The default writes them one by one.
    func writeBatch(_ packets: PacketBatch) async throws

    /// Ends the link in both directions. A read that waits returns `nil`. It may be called again. The default does nothing.
    func close() async
}

/// A path for IP packets in both directions.
public protocol Link: LinkReader, LinkWriter {
    /// The largest packet worth sending, in bytes, unless the interface is told otherwise. The default is 1500;
    /// links that carry packets of any size reliably say 65535.
    var defaultMTU: Int { get }
}

extension LinkReader {
    public func readBatch() async throws -> PacketBatch? {
        try await read().map(PacketBatch.init)
    }
}

extension LinkWriter {
    public func writeBatch(_ packets: PacketBatch) async throws {
        for packet in packets { try await write(packet) }
    }

    public func close() async {}
}

extension Link {
    public var defaultMTU: Int { 1500 }
}
