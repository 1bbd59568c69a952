// What NIO's bootstraps and ours have in common: tests are written against these.

import NIOCore
import NIOPosix
import NetstackNIO

typealias Initializer<Output> = @Sendable (any Channel) -> EventLoopFuture<Output>

protocol TCPClient {
    func channelInitializer(_ initializer: @escaping Initializer<Void>) -> Self
    func channelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self
    func connectTimeout(_ timeout: TimeAmount) -> Self
    func bind(to address: SocketAddress) -> Self
    func connect(to address: SocketAddress) -> EventLoopFuture<any Channel>
    func connect<Output: Sendable>(
        to address: SocketAddress, channelInitializer: @escaping Initializer<Output>
    ) async throws -> Output
}

extension ClientBootstrap: TCPClient {}
extension NetstackClientBootstrap: TCPClient {}

protocol TCPServer {
    func serverChannelInitializer(_ initializer: @escaping Initializer<Void>) -> Self
    func serverChannelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self
    func childChannelInitializer(_ initializer: @escaping Initializer<Void>) -> Self
    func childChannelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self
    func bind(to address: SocketAddress) -> EventLoopFuture<any Channel>
    func bind<Output: Sendable>(
        to address: SocketAddress,
        serverBackPressureStrategy: NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark?,
        childChannelInitializer: @escaping Initializer<Output>
    ) async throws -> NIOAsyncChannel<Output, Never>
}

extension ServerBootstrap: TCPServer {}
extension NetstackServerBootstrap: TCPServer {}

protocol Datagrams {
    func channelInitializer(_ initializer: @escaping Initializer<Void>) -> Self
    func channelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self
    func bind(to address: SocketAddress) -> EventLoopFuture<any Channel>
    func connect(to address: SocketAddress) -> EventLoopFuture<any Channel>
    func bind<Output: Sendable>(
        to address: SocketAddress, channelInitializer: @escaping Initializer<Output>
    ) async throws -> Output
}

extension DatagramBootstrap: Datagrams {}
extension NetstackDatagramBootstrap: Datagrams {}
