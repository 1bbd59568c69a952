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
/// try exit.exposeRoutes(["192.168.1.1/32"])
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

    /// What an interface is to be.
    public struct Configuration: Sendable {
        /// Entrance or exit.
        public var mode: Mode
        /// The largest packet in bytes, 576…65535; the link's default if nil.
        public var mtu: Int?
        /// The interface's own addresses.
        public var addresses: [IPAddress]
        /// Bounds of the stack.
        public var limits = Stack.Limits()
        /// Bounds of an exit, and how long it keeps flows.
        public var exitLimits = ExitLimits()
        /// Whether a UDP port of a source has one port of the exit's host towards all destinations (RFC 4787 section 4.1),
        /// as games, calls and other peer-to-peer programs need it. What it has sent to may then answer from any port.
        public var endpointIndependentUDP = false
        /// Decides about each dial that the exit's routes let through.
        public var policy: (any ExitPolicy)?
        /// Whether an exit answers DNS queries, over UDP and TCP at port 53 of its addresses, with what its host's resolver
        /// finds. Anything that gets to port 53 of these is prohibited otherwise.
        public var answersNames = true
        /// What the stack of an entrance asks for the addresses of names (see `Stack.resolve`): by default the addresses
        /// of an exit that has the default ones. Empty at an exit.
        public var nameServers: [IPAddress]
        /// What an exit answers with, and how long it waits for that.
        package var lookUpNames: NameLookup = SystemNames.lookUp
        package var namePatience = Duration.seconds(10)
        /// Hears of dials, routes and the link's end.
        public var logger: Logger
        /// The event loop of the stack and, at an exit, of the sockets of its host.
        public var eventLoop: any EventLoop = Stack.defaultEventLoop

        /// A configuration.
        ///
        /// - Parameters:
        ///   - mode: entrance or exit.
        ///   - mtu: in bytes; nil for the link's.
        ///   - addresses: the interface's own; nil for the defaults of its mode.
        ///   - logger: hears of dials, routes and the link's end.
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

    /// Entrance or exit.
    public let mode: Mode
    /// The stack behind the interface: dial, listen and ping through it.
    public let stack: Stack
    private let routes = NIOLockedValueBox(ExposedRoutes())
    /// What an exit does, on the event loop.
    private let exit: NIOLoopBoundBox<ExitCore?>
    private let logger: Logger

    /// Joins an interface to its link.
    ///
    /// - Parameters:
    ///   - configuration: what it is to be.
    ///   - link: what carries its packets. It is closed with the interface.
    ///   - tcp: the TCP of its stack: lwIP's, or `.swift` of the module `SwiftStack`. The two ends may differ.
    ///   - routes: what an exit exposes before the first packet comes in. A dial that came before `exposeRoutes` would be
    ///     told that it is prohibited.
    ///   - prepare: what else to do with the stack before that, like attaching a handler to its NIC.
    /// - Throws: `NetstackError.mtuOutOfRange`, `.addressNotAvailable`, `.incompatibleLibrary`; as `exposeRoutes`; what
    ///   `prepare` throws.
    public init(
        _ configuration: Configuration, link: some Link, stack tcp: TCPImplementation = .lwIP,
        exposing routes: [ExposedRoute] = [], prepare: @Sendable (isolated Stack) throws -> Void = { _ in }
    ) async throws {
        mode = configuration.mode
        var logger = configuration.logger
        logger[metadataKey: "mode"] = "\(configuration.mode)"
        self.logger = logger
        stack = try Stack(tcp, limits: configuration.limits, on: configuration.eventLoop)
        exit = .makeEmptyBox(eventLoop: configuration.eventLoop)
        if !routes.isEmpty { try exposeRoutes(routes) }
        try await Self.setUp(stack, configuration, link, self.routes, exit, logger, prepare)
    }

    /// In one go on the stack's event loop: no packet comes in before there is someone to take it.
    private static func setUp(
        _ stack: isolated Stack, _ configuration: Configuration, _ link: some Link,
        _ routes: NIOLockedValueBox<ExposedRoutes>, _ box: NIOLoopBoundBox<ExitCore?>, _ logger: Logger,
        _ prepare: (isolated Stack) throws -> Void
    ) throws {
        let isExit = configuration.mode == .exit
        try stack.createNIC(
            nic, link: link, addresses: configuration.addresses, mtu: configuration.mtu, promiscuous: isExit,
            spoofing: isExit)
        try stack.addRoute(to: .everyIPv4, via: nic)
        try stack.addRoute(to: .everyIPv6, via: nic)
        stack.nameServers = configuration.nameServers
        guard isExit else { return try prepare(stack) }
        try stack.forward(on: nic) { core, interface in
            let exit = ExitCore(
                core, interface, routes: routes, policy: configuration.policy, limits: configuration.exitLimits,
                logger: logger)
            exit.forwardTCP()
            exit.forwardUDP(endpointIndependent: configuration.endpointIndependentUDP)
            exit.forwardEchoes()
            box.value = exit
        }
        if configuration.answersNames, let exit = box.value {
            try NameServer(exit, patience: configuration.namePatience, lookUp: configuration.lookUpNames)
                .serve(on: stack, at: configuration.addresses)
        }
        try prepare(stack)
    }

    /// What an exit has done, and does; nil at an entrance.
    public var exitStatistics: ExitStatistics? {
        get async { try? await stack.eventLoop.submit { [exit] in exit.value?.statistics }.get() }
    }

    // MARK: Routes

    /// Lets destinations through, from now on: blocks, narrowed to protocols and ports or not, as ``ExposedRoute`` writes
    /// them. A dial is let through if one of all routes covers it.
    ///
    /// A wider block exposes no addresses of links, of many hosts, or of cloud metadata services, and no loopback: those
    /// need a route within their own range, loopback a target.
    ///
    /// - Throws: `NetstackError.malformed`, in which case none is exposed; `VNIError.notAnExit`.
    public func exposeRoutes(_ routes: [String]) throws {
        try exposeRoutes(routes.map { try ExposedRoute($0) })
    }

    /// The same for blocks.
    ///
    /// - Throws: `VNIError.notAnExit`.
    public func exposeRoutes(_ blocks: [CIDRBlock]) throws(VNIError) {
        var routes: [ExposedRoute] = []
        for block in blocks { routes.append(try ExposedRoute(block)) }
        try exposeRoutes(routes)
    }

    /// The same for routes.
    ///
    /// - Throws: `VNIError.notAnExit`, `.targetNeedsSingleAddress`, `.versionMismatch`.
    public func exposeRoutes(_ routes: [ExposedRoute]) throws(VNIError) {
        guard mode == .exit else { throw .notAnExit }
        for route in routes { try route.check() }
        self.routes.withLockedValue { for route in routes { $0.expose(route) } }
        logger.info("exposed", metadata: ["routes": "\(routes)"])
        routesChanged()
    }

    /// Lets one address through, to another address of the exit's network. This is the way to the exit host's loopback.
    ///
    /// Replies come from the address that was dialled.
    ///
    /// - Parameters:
    ///   - route: a block of one address, narrowed or not.
    ///   - target: the address that is dialled instead.
    /// - Throws: `NetstackError.malformed`; `VNIError.notAnExit`, `.targetNeedsSingleAddress`, `.versionMismatch`.
    public func exposeRoute(_ route: String, to target: String) throws {
        try exposeRoutes([ExposedRoute(route, to: target)])
    }

    /// Lets one address through, to another address of the exit's network.
    ///
    /// - Throws: `VNIError.notAnExit`, `.targetNeedsSingleAddress`, `.versionMismatch`.
    public func exposeRoute(_ block: CIDRBlock, to target: IPAddress) throws(VNIError) {
        try exposeRoutes([ExposedRoute(block, to: target)])
    }

    /// Lets destinations through no longer, and ends the dials, connections and flows that no other route covers.
    ///
    /// - Parameter routes: as they were exposed. A block alone stands for all its routes, narrowed ones too.
    /// - Throws: `NetstackError.malformed`, in which case none is removed.
    public func removeRoutes(_ routes: [String]) throws {
        removeRoutes(try routes.map { try ExposedRoute($0) })
    }

    /// The same for blocks.
    public func removeRoutes(_ blocks: [CIDRBlock]) { removeRoutes(blocks.compactMap { try? ExposedRoute($0) }) }

    /// The same for routes.
    public func removeRoutes(_ routes: [ExposedRoute]) {
        self.routes.withLockedValue { for route in routes { $0.remove(route) } }
        logger.info("removed", metadata: ["routes": "\(routes)"])
        routesChanged()
    }

    private func routesChanged() {
        stack.eventLoop.execute { [exit] in exit.value?.routesChanged() }
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
