// ICMP and ICMPv6 error messages, and what they quote.

import NIOCore

/// Why a packet did not arrive (RFC 792, RFC 1122 section 3.2.2, RFC 4443 section 3).
public enum ICMPError: Hashable, Sendable {
    case destinationUnreachable(Reason)
    case packetTooBig(mtu: Int)
    case timeExceeded
    case parameterProblem

    public enum Reason: Hashable, Sendable {
        case network, host, `protocol`, port, administrativelyProhibited, other
    }
}

extension ICMPError {
    /// Type and code of each reason: ICMP, then ICMPv6. What one version lacks is told as its nearest relative.
    private static let codes: [(Reason, v4: UInt8, v6: UInt8)] = [
        (.network, 0, 0), (.host, 1, 3), (.protocol, 2, 3), (.port, 3, 4), (.administrativelyProhibited, 13, 1),
        (.other, 1, 3),
    ]

    init?(type: UInt8, code: UInt8, rest: UInt32, version: IPVersion) {
        switch (version, type) {
        case (.v4, 3) where code == 4:
            self = .packetTooBig(mtu: Int(rest & 0xffff))
        case (.v4, 3):
            switch code {
            // "Communication prohibited" has several codes (RFC 1812 section 5.2.7.1).
            case 9, 10, 13: self = .destinationUnreachable(.administrativelyProhibited)
            default: self = .destinationUnreachable(Self.codes.first { $0.v4 == code }?.0 ?? .other)
            }
        case (.v6, 1):
            switch code {
            case 5, 6: self = .destinationUnreachable(.administrativelyProhibited)
            default: self = .destinationUnreachable(Self.codes.first { $0.v6 == code }?.0 ?? .other)
            }
        case (.v6, 2): self = .packetTooBig(mtu: Int(rest))
        case (.v4, 11), (.v6, 3): self = .timeExceeded
        case (.v4, 12), (.v6, 4): self = .parameterProblem
        default: return nil
        }
    }

    private func typeAndCode(_ version: IPVersion) -> (UInt8, UInt8) {
        switch self {
        case .destinationUnreachable(let reason):
            let code = Self.codes.first { $0.0 == reason }
            return version == .v4 ? (3, code?.v4 ?? 1) : (1, code?.v6 ?? 3)
        case .packetTooBig: return version == .v4 ? (3, 4) : (2, 0)
        case .timeExceeded: return version == .v4 ? (11, 0) : (3, 0)
        case .parameterProblem: return version == .v4 ? (12, 0) : (4, 0)
        }
    }

    /// Appends a whole packet that tells the sender of `packet`, whose addresses may be any, of this error.
    func write(answering header: IPHeader, _ packet: RawSpan, from source: IPAddress, into buffer: inout ByteBuffer) {
        let version = header.version
        // As much as fits the size that every host accepts (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)).
        let room = (version == .v4 ? 576 : 1280) - IPHeader.length(version) - 8
        let quoted = packet.extracting(0..<min(header.totalLength, room))
        let (type, code) = typeAndCode(version)
        var rest: UInt32 = 0
        if case .packetTooBig(let mtu) = self { rest = UInt32(truncatingIfNeeded: mtu) }
        ICMPMessage.write(
            type: type, code: code, rest: rest, quoted, from: source, to: header.source, into: &buffer)
    }

    /// Whether an error may be sent about a packet (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)): not about errors, nor
    /// about later fragments. That both addresses are unicast has been checked on the way in.
    static func mayAnswer(_ header: IPHeader, _ packet: RawSpan) -> Bool {
        if let fragment = header.fragment, fragment.offset > 0 { return false }
        guard header.totalLength > header.headerLength else { return true }
        let type = packet.uint8(at: header.headerLength)
        switch header.upperLayerProtocol {
        case .icmp: return type == 0 || type == 8 || (13...18).contains(type)
        case .icmpv6: return type >= 128
        default: return true
        }
    }
}

/// The packet that an ICMP error is about, as far as it was quoted.
struct ICMPQuotation {
    var source: IPAddress
    var destination: IPAddress
    var upperLayerProtocol: IPProtocol
    /// The first 8 bytes of its payload: ports and sequence number, or what an echo request carries.
    private var first: UInt64

    init(parsing quoted: RawSpan) throws(PacketFault) {
        guard quoted.byteCount >= 28 else { throw .truncated }
        let payload: Int
        switch quoted.uint8(at: 0) >> 4 {
        case 4:
            payload = Int(quoted.uint8(at: 0) & 15) * 4
            source = quoted.ipv4Address(at: 12)
            destination = quoted.ipv4Address(at: 16)
            upperLayerProtocol = IPProtocol(rawValue: quoted.uint8(at: 9))
        case 6:
            // Packets of this stack have no extension headers but a fragment's, which errors are not believed about.
            payload = 40
            guard quoted.byteCount >= 48 else { throw .truncated }
            source = quoted.ipv6Address(at: 8)
            destination = quoted.ipv6Address(at: 24)
            upperLayerProtocol = IPProtocol(rawValue: quoted.uint8(at: 6))
        default:
            throw .version
        }
        guard payload >= 20, payload + 8 <= quoted.byteCount else { throw .truncated }
        first = quoted.uint64(at: payload)
    }

    var sourcePort: UInt16 { UInt16(truncatingIfNeeded: first >> 48) }
    var destinationPort: UInt16 { UInt16(truncatingIfNeeded: first >> 32) }
    var tcpSequence: UInt32 { UInt32(truncatingIfNeeded: first) }
    var echoIdentifier: UInt16 { UInt16(truncatingIfNeeded: first >> 16) }
    var echoSequence: UInt16 { UInt16(truncatingIfNeeded: first) }
}
