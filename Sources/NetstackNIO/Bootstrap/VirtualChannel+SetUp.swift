// What all bootstraps have in common: how they are changed, and the steps in which they make a channel ready.

import NIOCore
import Netstack

typealias ChannelInitializer<Output> = @Sendable (any Channel) -> EventLoopFuture<Output>

/// A value whose every change makes another.
protocol StackBootstrap {}

extension StackBootstrap {
    func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}

extension VirtualChannel {
    /// Sets options, adds handlers, registers, and begins. If one of these fails, the channel is closed.
    ///
    /// - Parameter begin: binds or connects, and completes the promise.
    func setUp<Output: Sendable>(
        _ options: ChannelOptions.Storage, _ initializer: @escaping ChannelInitializer<Output>,
        begin: @escaping @Sendable (EventLoopPromise<Void>) -> Void
    ) -> EventLoopFuture<Output> {
        let eventLoop = eventLoop
        return options.applyAllChannelOptions(to: self).flatMap { initializer(self) }.hop(to: eventLoop)
            .flatMap { output in
                let registered = eventLoop.makePromise(of: Void.self)
                self.register0(promise: registered)
                return registered.futureResult.flatMap {
                    let begun = eventLoop.makePromise(of: Void.self)
                    begin(begun)
                    return begun.futureResult
                }.map { output }
            }.flatMapError { error in
                self.close0(error: error, mode: .all, promise: nil)
                return eventLoop.makeFailedFuture(error)
            }
    }
}

extension Stack {
    /// Runs `body` with the core on its event loop, at once if that is where it is called.
    nonisolated func onEventLoop<Output: Sendable>(
        _ body: @escaping @Sendable (StackCore) -> EventLoopFuture<Output>
    ) -> EventLoopFuture<Output> {
        eventLoop.inEventLoop ? body(core) : eventLoop.flatSubmit { body(self.core) }
    }
}
