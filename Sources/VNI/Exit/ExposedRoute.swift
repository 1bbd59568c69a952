// A route that an exit exposes, as it is written.

public import Netstack

/// Destinations that an exit lets through: of a block all, or only some protocols and ports.
///
/// Written as a block and what it is narrowed to: `10.0.0.0/8`, `10.0.0.0/8 tcp/443,8000-8100`, `fd00::/8 tcp udp/53 icmp`.
public struct ExposedRoute: Hashable, Sendable, CustomStringConvertible {
    /// A protocol, and of it all ports or some.
    public struct Service: Hashable, Sendable, CustomStringConvertible {
        /// The protocol.
        public var transport: ExitDial.Transport
        /// None means all.
        public var ports: [ClosedRange<UInt16>]

        /// A protocol, and its ports.
        ///
        /// - Parameters:
        ///   - transport: the protocol.
        ///   - ports: those that are meant; all if empty.
        public init(_ transport: ExitDial.Transport, ports: [ClosedRange<UInt16>] = []) {
            self.transport = transport
            self.ports = ports
        }

        func covers(_ transport: ExitDial.Transport, _ port: UInt16) -> Bool {
            transport == self.transport && (ports.isEmpty || ports.contains { $0.contains(port) })
        }

        public var description: String {
            let list = ports.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            return transport.rawValue + (list.isEmpty ? "" : "/" + list.joined(separator: ","))
        }
    }

    /// The addresses that are let through.
    public var block: CIDRBlock
    /// None means all.
    public var services: [Service]
    /// The address that a block of one address leads to, instead of to itself.
    public var target: IPAddress?

    /// - Throws: `VNIError.targetNeedsSingleAddress`, `.versionMismatch`.
    public init(_ block: CIDRBlock, services: [Service] = [], to target: IPAddress? = nil) throws(VNIError) {
        self.init(unchecked: block, services, target)
        try check()
    }

    /// Parses a block, and the services after it.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: String) throws(NetstackError) {
        let words = text.split(separator: " ")
        let block = try CIDRBlock(words.first.map(String.init) ?? "")
        var services: [Service] = []
        do throws(TextFault) {
            for word in words.dropFirst() { services.append(try Self.service(word)) }
        } catch {
            throw .malformed(kind: "a route", text, fault: error)
        }
        self.init(unchecked: block, services, nil)
    }

    /// Parses a route, and the address that it leads to. That they fit is checked when it is exposed.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: String, to target: String) throws(NetstackError) {
        try self.init(text)
        self.target = try IPAddress(target)
    }

    private init(unchecked block: CIDRBlock, _ services: [Service], _ target: IPAddress?) {
        self.block = block
        self.services = services
        self.target = target
    }

    func check() throws(VNIError) {
        guard let target else { return }
        guard block.isSingleAddress else { throw .targetNeedsSingleAddress(block) }
        guard block.address.version == target.version else { throw .versionMismatch(block, target: target) }
    }

    func covers(_ transport: ExitDial.Transport, _ destination: TransportAddress) -> Bool {
        block.contains(destination.address)
            && (services.isEmpty || services.contains { $0.covers(transport, destination.port) })
    }

    public var description: String {
        ([block.description] + services.map(\.description)).joined(separator: " ") + (target.map { " to \($0)" } ?? "")
    }
}

extension ExposedRoute {
    private static func service(_ text: Substring) throws(TextFault) -> Service {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let transport = parts.first.flatMap({ ExitDial.Transport(rawValue: String($0)) }) else {
            throw TextFault("what follows the block does not begin with tcp, udp or icmp")
        }
        guard parts.count == 2 else { return Service(transport) }
        guard transport != .icmp else { throw TextFault("icmp has no ports") }
        var ports: [ClosedRange<UInt16>] = []
        for range in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
            let ends = range.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { UInt16($0) }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last, first > 0 else {
                throw TextFault("port or range \(ports.count + 1) of \(transport.rawValue) is none")
            }
            ports.append(first...last)
        }
        return Service(transport, ports: ports)
    }
}
