// An IPv4 address and its text form.

/// An IPv4 address (RFC 791).
public struct IPv4Address: Hashable, Sendable {
    /// The 32 bits, most significant first: 10.0.0.1 is 0x0a000001.
    public let rawValue: UInt32

    /// The address whose first byte is the number's highest.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The address that is written `a.b.c.d`.
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// 0.0.0.0
    public static let any = IPv4Address(rawValue: 0)
    /// 127.0.0.1
    public static let loopback = IPv4Address(127, 0, 0, 1)
    /// 255.255.255.255
    public static let broadcast = IPv4Address(rawValue: .max)

    /// Parses four decimal parts. Leading zeros are a fault: some readers take them for octal (RFC 6943 section 3.1.1).
    ///
    /// - Throws: `NetstackError.malformed`.
    public init(_ text: some StringProtocol) throws(NetstackError) {
        do throws(TextFault) {
            self = try Self.parse(text.utf8)
        } catch {
            throw .malformed(kind: "an IPv4 address", text, fault: error)
        }
    }

    static func parse(_ text: some Collection<UInt8>) throws(TextFault) -> IPv4Address {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { throw TextFault("it has \(parts.count) of 4 parts") }
        var value: UInt32 = 0
        for (index, part) in parts.enumerated() {
            value = value << 8 | UInt32(try TextFault.decimal(part, limit: 255, "part \(index + 1)"))
        }
        return IPv4Address(rawValue: value)
    }

    /// 0.0.0.0
    public var isUnspecified: Bool { rawValue == 0 }
    /// 127.0.0.0/8
    public var isLoopback: Bool { rawValue >> 24 == 127 }
    /// 224.0.0.0/4
    public var isMulticast: Bool { rawValue >> 28 == 0xe }
    /// 169.254.0.0/16 (RFC 3927)
    public var isLinkLocal: Bool { rawValue >> 16 == 0xa9fe }
    /// 255.255.255.255, the limited broadcast address (RFC 919 section 7); which others are broadcast depends on the link.
    public var isBroadcast: Bool { rawValue == .max }

    /// Why no packet between two hosts can carry this address; nil when it can.
    var whyNotUnicast: String? {
        switch rawValue >> 24 {
        case 0: rawValue == 0 ? "it is the unspecified address" : "0.0.0.0/8 is no host (RFC 1122 section 3.2.1.3)"
        case 127: "it is a loopback address"
        case 224...239: "it is a multicast address"
        case 240...255:
            rawValue == .max ? "it is the broadcast address" : "240.0.0.0/4 is reserved (RFC 1112 section 4)"
        default: nil
        }
    }
}

extension IPv4Address: Comparable, CustomStringConvertible {
    public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.rawValue < b.rawValue }

    public var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }
}
