// The options of TCP sockets that a connection of a stack knows.

import Glibc
package import NIOCore
import Netstack

struct TCPSocketOptions {
    /// TCP_NODELAY
    private var sendsAtOnce = true
    /// SO_KEEPALIVE
    private var keepsAlive = false
    /// SO_LINGER
    var linger = Glibc.linger()

    init() {}

    init(of block: TCPControlBlock) {
        sendsAtOnce = block.sendsAtOnce
        keepsAlive = block.keepsAlive
    }

    func apply(to block: TCPControlBlock) {
        block.sendsAtOnce = sendsAtOnce
        block.keepsAlive = keepsAlive
    }

    /// Whether the connection ends with a reset, and not in good order.
    var resetsOnClose: Bool { linger.l_onoff != 0 && linger.l_linger == 0 }

    /// - Returns: whether the option is one of these.
    mutating func set(_ option: ChannelOptions.Types.SocketOption, _ value: SocketOptionValue) -> Bool {
        switch option {
        case .tcpOption(.tcp_nodelay): sendsAtOnce = value != 0
        case .socketOption(.so_keepalive): keepsAlive = value != 0
        default: return false
        }
        return true
    }

    func get(_ option: ChannelOptions.Types.SocketOption) -> SocketOptionValue? {
        switch option {
        case .tcpOption(.tcp_nodelay): sendsAtOnce ? 1 : 0
        case .socketOption(.so_keepalive): keepsAlive ? 1 : 0
        default: nil
        }
    }
}

/// SO_LINGER is the one option whose value is not a number.
extension TCPChannel: SocketOptionProvider {
    package func unsafeSetSocketOption<Value: Sendable>(
        level: NIOBSDSocket.OptionLevel, name: NIOBSDSocket.Option, value: Value
    ) -> EventLoopFuture<Void> {
        onEventLoop {
            let option = ChannelOptions.Types.SocketOption(level: level, name: name)
            if option == .socketOption(.so_linger), let value = value as? linger {
                self.socketOptions.linger = value
            } else if let value = value as? SocketOptionValue {
                try self.set(option, value)
            } else {
                throw ChannelError.operationUnsupported
            }
        }
    }

    package func unsafeGetSocketOption<Value: Sendable>(
        level: NIOBSDSocket.OptionLevel, name: NIOBSDSocket.Option
    ) -> EventLoopFuture<Value> {
        onEventLoop {
            let option = ChannelOptions.Types.SocketOption(level: level, name: name)
            let value: Any = try option == .socketOption(.so_linger) ? self.socketOptions.linger : self.get(option)
            guard let value = value as? Value else { throw ChannelError.operationUnsupported }
            return value
        }
    }

    package func unsafeSetSocketOption<Value: Sendable>(
        level: SocketOptionLevel, name: SocketOptionName, value: Value
    ) -> EventLoopFuture<Void> {
        unsafeSetSocketOption(level: .init(rawValue: CInt(level)), name: .init(rawValue: CInt(name)), value: value)
    }

    package func unsafeGetSocketOption<Value: Sendable>(
        level: SocketOptionLevel, name: SocketOptionName
    ) -> EventLoopFuture<Value> {
        unsafeGetSocketOption(level: .init(rawValue: CInt(level)), name: .init(rawValue: CInt(name)))
    }
}
