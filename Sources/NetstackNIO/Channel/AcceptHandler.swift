// What a server bootstrap puts into the pipeline of its channel: it sets up the channels that this one reads.

import NIOCore

/// Gives each accepted channel its options and handlers before anybody else sees it.
final class AcceptHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let options: ChannelOptions.Storage
    private let initializer: ChannelInitializer<Void>

    init(_ options: ChannelOptions.Storage, _ initializer: @escaping ChannelInitializer<Void>) {
        self.options = options
        self.initializer = initializer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let child = Self.unwrapInboundIn(data)
        let initializer = initializer
        options.applyAllChannelOptions(to: child).flatMap { initializer(child) }.hop(to: context.eventLoop)
            .assumeIsolated().whenComplete { result in
                do {
                    try result.get()
                    guard context.channel.isActive else { throw ChannelError.ioOnClosedChannel }
                    context.fireChannelRead(data)
                } catch {
                    child.close(promise: nil)
                    context.fireErrorCaught(error)
                }
            }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { context.channel.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }
}
