// Opening a NIO channel from a task.

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
        var bootstrap = NetstackClientBootstrap(stack: self).connectTimeout(TimeAmount(timeout))
        if let source { bootstrap = try bootstrap.bind(to: source.socketAddress()) }
        let channel = TCPChannel(core, nic: nic)
        let connected = try bootstrap.connect(channel, to: destination.socketAddress()) { channel in
            channel.eventLoop.makeCompletedFuture { try initializer(channel) }
        }
        do {
            return try await withTaskExecutorPreference(taskExecutor) {
                try await withTaskCancellationHandler {
                    try await connected.get()
                    try Task.checkCancellation()
                    return channel
                } onCancel: {
                    channel.close(promise: nil)
                }
            }
        } catch {
            throw Task.isCancelled ? CancellationError() : error
        }
    }
}
