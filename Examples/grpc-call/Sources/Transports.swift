// gRPC's two ends over a stack: where it would make sockets, it is given channels.

import GRPCCore
import GRPCNIOTransportHTTP2
import NIOCore
import Netstack
import NetstackNIO

/// Accepts gRPC's connections at a port of a stack.
struct StackListenerFactory: HTTP2ServerTransport.ListenerFactory {
    let stack: Stack
    let address: NIOCore.SocketAddress

    var eventLoopGroup: any EventLoopGroup { stack.eventLoop }

    func makeListeningChannel(
        listenerConfigurator: HTTP2ServerTransport.ListenerConfigurator,
        connectionConfigurator: HTTP2ServerTransport.ConnectionConfigurator
    ) async throws -> NIOAsyncChannel<HTTP2ServerTransport.ConnectionConfigurator.ConnectionChannel, Never> {
        try await NetstackServerBootstrap(stack: stack)
            .serverChannelInitializer { listenerConfigurator.configure(channel: $0) }
            .bind(to: address) { connectionConfigurator.configure(channel: $0, tls: .none) }
    }
}

extension HTTP2ClientTransport.WrappedChannel {
    /// A connection through a stack.
    static func connecting(through stack: Stack, to address: NIOCore.SocketAddress) async throws -> Self {
        try await wrapping { configure in
            try await NetstackClientBootstrap(stack: stack).connect(to: address, channelInitializer: configure)
        }
    }
}
