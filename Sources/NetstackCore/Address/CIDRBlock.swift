// A block of addresses that share a prefix.

/// All addresses with a common prefix (RFC 4632, RFC 4291 section 2.3), as 10.0.0.0/8 or fd00::/8.
public struct CIDRBlock: Hashable, Sendable {
    /// The first address of the block.
    public let address: IPAddress
    /// How many bits are common: 0…32 or 0…128.
    public let prefixLength: Int

    private static let kind = "a CIDR block"

    /// 0.0.0.0/0
    public static let everyIPv4 = CIDRBlock(masking: .v4(.any), prefixLength: 0)
    /// ::/0
    public static let everyIPv6 = CIDRBlock(masking: .v6(.any), prefixLength: 0)

    /// The block of one address.
    public init(_ address: IPAddress) {
        self.init(masking: address, prefixLength: address.width)
    }

    /// The block that begins at an address.
    ///
    /// - Throws: `NetstackError.malformed` if the prefix length is not one of the IP version, or host bits are set.
    public init(_ address: IPAddress, prefixLength: Int) throws(NetstackError) {
        try self.init(containing: address, prefixLength: prefixLength)
        do throws(TextFault) {
            try mustBegin(at: address)
        } catch {
            throw .malformed(kind: Self.kind, "\(address)/\(prefixLength)", fault: error)
        }
    }

    /// The block of a prefix length that holds an address.
    ///
    /// - Throws: `NetstackError.malformed` if the prefix length is not one of the IP version.
    public init(containing address: IPAddress, prefixLength: Int) throws(NetstackError) {
        guard (0...address.width).contains(prefixLength) else {
            let fault = TextFault("the prefix length is \(prefixLength), outside of 0…\(address.width)")
            throw .malformed(kind: Self.kind, "\(address)/\(prefixLength)", fault: fault)
        }
        self.init(masking: address, prefixLength: prefixLength)
    }

    /// Parses an address, a slash and a prefix length. An address alone is the block of that one address.
    ///
    /// Host bits that are set are a fault: whoever writes 10.0.0.1/8 may have meant /32.
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(Array(text.utf8))
        } catch {
            throw .malformed(kind: Self.kind, text, fault: error)
        }
    }

    private static func parse(_ text: [UInt8]) throws(TextFault) -> CIDRBlock {
        guard let slash = text.firstIndex(of: UInt8(ascii: "/")) else { return CIDRBlock(try IPAddress.parse(text)) }
        let address = try IPAddress.parse(Array(text[..<slash]))
        let length = try TextFault.decimal(text[(slash + 1)...], limit: address.width, "the prefix length")
        let block = CIDRBlock(masking: address, prefixLength: length)
        try block.mustBegin(at: address)
        return block
    }

    private func mustBegin(at address: IPAddress) throws(TextFault) {
        guard self.address == address else { throw TextFault("host bits are set; \(self) is the block that holds it") }
    }

    private init(masking address: IPAddress, prefixLength: Int) {
        let hostBits = address.width - prefixLength
        let network = hostBits >= 128 ? 0 : (address.bits >> UInt128(hostBits)) << UInt128(hostBits)
        switch address {
        case .v4: self.address = .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: network)))
        case .v6: self.address = .v6(IPv6Address(rawValue: network))
        }
        self.prefixLength = prefixLength
    }

    /// Whether it holds a single address.
    public var isSingleAddress: Bool { prefixLength == address.width }

    /// Whether an address is of this block. No IPv4-mapped address is of an IPv4 block.
    public func contains(_ other: IPAddress) -> Bool {
        guard other.version == address.version else { return false }
        let hostBits = address.width - prefixLength
        return hostBits >= 128 || (other.bits ^ address.bits) >> UInt128(hostBits) == 0
    }

    /// Whether all addresses of another block are of this one.
    public func contains(_ other: CIDRBlock) -> Bool {
        other.prefixLength >= prefixLength && contains(other.address)
    }
}

extension CIDRBlock: Comparable, CustomStringConvertible {
    /// By address, then the larger block first.
    public static func < (a: CIDRBlock, b: CIDRBlock) -> Bool {
        (a.address, a.prefixLength) < (b.address, b.prefixLength)
    }

    public var description: String { "\(address)/\(prefixLength)" }
}
