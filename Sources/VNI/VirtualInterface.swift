// A stack, a NIC and a link plumbed together as one end of a tunnel.

public import Logging
import NIOConcurrencyHelpers
public import NIOCore
public import Netstack

/// One end of a tunnel: an entrance dials into the link, an exit dials out of it into its host's network.
///
/// ```swift
/// let (near, far) = MemoryLink.pipe()
/// let exit = try await VirtualInterface(.init(mode: .exit), link: far)
/// try await exit.exposeRoutes(["192.168.1.1/32"])
/// let entrance = try await VirtualInterface(.init(mode: .entrance), link: near)
/// let connection = try await entrance.stack.connect(to: TransportAddress("192.168.1.1:80"))
/// ```
public final class VirtualInterface: Sendable {
    /// Which end it is.
    public enum Mode: String, Sendable, CustomStringConvertible {
        /// Routes everything into the link.
        case entrance
        /// Accepts what its exposed routes allow and forwards it to the host's network. Closed by default.
        case exit

        public var description: String { rawValue }
    }

    public struct Configuration: Sendable {
        public var mode: Mode
        /// The largest packet in bytes, 576…65535; the link's default if nil.
        public var mtu: Int?
        /// The interface's own addresses.
        public var addresses: [IPAddress]
        /// Bounds of the stack.
        public var limits = Stack.Limits()
        public var logger: Logger
        /// Whether an exit answers DNS queries, over UDP and TCP at port 53 of its addresses, with what its host's resolver
        /// finds. Anything that gets to port 53 of these is prohibited otherwise.
        public var answersNames = true
        /// What the stack of an entrance asks for the addresses of names (see `Stack.resolve`): by default the addresses
        /// of an exit that has the default ones. Empty at an exit.
        public var nameServers: [IPAddress]
        /// What an exit answers with, and how long it waits for that.
        package var lookUpNames: NameLookup = SystemNames.lookUp
        package var namePatience = Duration.seconds(10)
        /// The event loop of the stack and, at an exit, of the sockets of its host.
        public var eventLoop: any EventLoop = Stack.defaultEventLoop

        public init(mode: Mode, mtu: Int? = nil, addresses: [IPAddress]? = nil, logger: Logger = Logger(label: "vni")) {
            self.mode = mode
            self.mtu = mtu
            self.addresses = addresses ?? VirtualInterface.defaultAddresses(mode)
            self.logger = logger
            nameServers = mode == .entrance ? VirtualInterface.defaultAddresses(.exit) : []
        }
    }

    /// The addresses of an interface that is given none. The last of RFC 6598's shared address space; and, for IPv6, of a
    /// unique local prefix (RFC 4193).
    public static func defaultAddresses(_ mode: Mode) -> [IPAddress] {
        let last: UInt8 = mode == .entrance ? 255 : 254
        let prefix = UInt128(0xfd52_4e53_0000_0000) << 64
        return [.v4(IPv4Address(100, 127, 255, last)), .v6(IPv6Address(rawValue: prefix | UInt128(last)))]
    }

    /// The interface's only NIC.
    public static let nic: NICID = 1

    public let mode: Mode
    /// The stack behind the interface: dial, listen and ping through it.
    public let stack: Stack
    private let routes = NIOLockedValueBox(ExposedRoutes())
    private let logger: Logger

    /// Joins an interface to its link.
    ///
    /// - Throws: `NetstackError.mtuOutOfRange`, `.addressNotAvailable`, `.incompatibleLibrary`.
    public init(_ configuration: Configuration, link: some Link) async throws {
        mode = configuration.mode
        var logger = configuration.logger
        logger[metadataKey: "mode"] = "\(configuration.mode)"
        self.logger = logger
        stack = try Stack(limits: configuration.limits, on: configuration.eventLoop)
        try await Self.setUp(stack, configuration, link, routes, logger)
    }

    /// In one go on the stack's event loop: no packet comes in before there is someone to take it.
    private static func setUp(
        _ stack: isolated Stack, _ configuration: Configuration, _ link: some Link,
        _ routes: NIOLockedValueBox<ExposedRoutes>, _ logger: Logger
    ) throws {
        let isExit = configuration.mode == .exit
        try stack.createNIC(
            nic, link: link, addresses: configuration.addresses, mtu: configuration.mtu, promiscuous: isExit,
            spoofing: isExit)
        try stack.addRoute(to: .everyIPv4, via: nic)
        try stack.addRoute(to: .everyIPv6, via: nic)
        stack.nameServers = configuration.nameServers
        guard isExit else { return }
        if configuration.answersNames {
            try NameServer.attach(
                to: stack, nic: nic, logger: logger, patience: configuration.namePatience,
                lookUp: configuration.lookUpNames)
        }
        let resolve: TCPForwarder.Resolve = { destination in
            routes.withLockedValue { $0.target(for: destination.address) }.map {
                TransportAddress($0, destination.port)
            }
        }
        try TCPForwarder(logger: logger, resolve: resolve).attach(to: stack, nic: nic)
        try UDPForwarder(logger: logger, resolve: resolve).attach(to: stack, nic: nic)
    }

    // MARK: Routes

    /// Lets destinations through, from now on.
    ///
    /// - Throws: `NetstackError.malformed`, in which case none is exposed; `VNIError.notAnExit`.
    public func exposeRoutes(_ blocks: [String]) throws {
        try exposeRoutes(blocks.map { try CIDRBlock($0) })
    }

    /// Lets destinations through, from now on.
    ///
    /// - Throws: `VNIError.notAnExit`.
    public func exposeRoutes(_ blocks: [CIDRBlock]) throws(VNIError) {
        guard mode == .exit else { throw .notAnExit }
        routes.withLockedValue { for block in blocks { $0.expose(block) } }
        logger.info("exposed", metadata: ["routes": "\(blocks)"])
    }

    /// Lets one address through, to another address of the exit's network. This is the way to the exit host's loopback.
    ///
    /// Replies come from the address that was dialled.
    ///
    /// - Throws: `NetstackError.malformed`; `VNIError.notAnExit`, `.targetNeedsSingleAddress`, `.versionMismatch`.
    public func exposeRoute(_ block: String, to target: String) throws {
        try exposeRoute(CIDRBlock(block), to: IPAddress(target))
    }

    /// Lets one address through, to another address of the exit's network.
    ///
    /// - Throws: `VNIError.notAnExit`, `.targetNeedsSingleAddress`, `.versionMismatch`.
    public func exposeRoute(_ block: CIDRBlock, to target: IPAddress) throws(VNIError) {
        guard mode == .exit else { throw .notAnExit }
        let result = routes.withLockedValue { routes in
            Result { () throws(VNIError) in try routes.expose(block, to: target) }
        }
        try result.get()
        logger.info("exposed", metadata: ["routes": "\(block)", "target": "\(target)"])
    }

    /// Lets destinations through no longer. Open connections go on.
    ///
    /// - Throws: `NetstackError.malformed`, in which case none is removed.
    public func removeRoutes(_ blocks: [String]) throws {
        try removeRoutes(blocks.map { try CIDRBlock($0) })
    }

    /// Lets destinations through no longer. Open connections go on.
    public func removeRoutes(_ blocks: [CIDRBlock]) {
        routes.withLockedValue { for block in blocks { $0.remove(block) } }
        logger.info("removed", metadata: ["routes": "\(blocks)"])
    }

    // MARK: The end

    /// Waits until the link has ended, in good order or by ``shutdown()``.
    ///
    /// - Throws: the error that ended the link, as `NetstackError.linkDown`; `CancellationError`.
    public func waitForLinkEnd() async throws {
        try await stack.waitForLinkEnd(of: Self.nic)
    }

    /// Ends all connections and closes the link. Calling it again does nothing.
    public func shutdown() async {
        await stack.shutdown()
        logger.info("shut down")
    }
}
