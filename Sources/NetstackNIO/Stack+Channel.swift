// Opening and accepting NIO channels on a stack.

public import NIOCore
public import Netstack

extension Stack {
    /// Opens a connection as a NIO channel.
    ///
    /// - Parameter initializer: adds handlers, on the event loop, before the channel is active.
    /// - Throws: as `connect(to:from:nic:timeout:)`, and what the initializer throws.
    public func connectChannel(
        to destination: TransportAddress, from source: TransportAddress? = nil, nic: NICID? = nil,
        timeout: Duration = .seconds(30), initializer: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> any Channel {
        try await withBlock(to: destination, from: source, nic: nic, timeout: timeout) { block in
            let channel = TCPChannel(block)
            do {
                try initializer(channel)
            } catch {
                block.reset()
                channel.close(promise: nil)
                throw error
            }
            channel.activate()
            return channel
        }
    }
}
