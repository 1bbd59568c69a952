// How the options of channels are reached: by futures from anywhere, and at once on the event loop.

package import NIOCore

extension VirtualChannel {
    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        onEventLoop { try self.setIfOpen(option, value) }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        onEventLoop { try self.getIfOpen(option) }
    }

    func onEventLoop<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value> {
        eventLoop.inEventLoop ? eventLoop.makeCompletedFuture(withResultOf: body) : eventLoop.submit(body)
    }

    private func setIfOpen<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        try set(option, value)
    }

    private func getIfOpen<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        return try get(option)
    }

    struct SynchronousOptions: NIOSynchronousChannelOptions {
        let channel: VirtualChannel

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            try channel.setIfOpen(option, value)
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            try channel.getIfOpen(option)
        }
    }
}
