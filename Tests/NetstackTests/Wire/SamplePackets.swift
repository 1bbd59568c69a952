// Packets made by an independent program, and what the tests need to take them apart.

import NIOCore
import Netstack

/// Packets between 192.0.2.1 and 198.51.100.2, and between 2001:db8::1 and 2001:db8::2.
enum SamplePacket {
    static let v4 = (
        host: IPAddress.v4(IPv4Address(192, 0, 2, 1)), peer: IPAddress.v4(IPv4Address(198, 51, 100, 2))
    )
    static let v6 = (
        host: IPAddress.v6(IPv6Address(rawValue: 0x2001_0db8 << 96 | 1)),
        peer: IPAddress.v6(IPv6Address(rawValue: 0x2001_0db8 << 96 | 2))
    )

    /// "hello", from port 5353 to 53.
    static let udp4 = hex("450000210000400040114e95c0000201c633640214e90035000dbaac68656c6c6f")
    static let udp6 = hex(
        """
        60000000000d114020010db800000000000000000000000120010db800000000000000000000000214e90035000d4b6f68656c6c6f
        """)
    /// From port 49152 to 80, sequence number 0x01020304, with options.
    static let syn4 = hex(
        """
        4500003c0000400040064e85c0000201c6336402c00000500102030400000000a002ffff97710000020405b40402080a00000001
        0000000001030307
        """)
    static let syn6 = hex(
        """
        600000000028064020010db800000000000000000000000120010db8000000000000000000000002c00000500102030400000000
        a002ffff28340000020405b40402080a000000010000000001030307
        """)
    /// The answers of a closed port to the segments above.
    static let reset4 = hex(
        "450000280000400040064e99c6336402c00002010050c000000000000102030550140000ff410000")
    static let reset6 = hex(
        """
        600000000014064020010db800000000000000000000000220010db80000000000000000000000010050c0000000000001020305
        5014000090040000
        """)
    /// Identifier 0x1234, sequence number 1, "abcdefg".
    static let echo4 = hex("450000230000400040014ea3c0000201c63364020800549d1234000161626364656667")
    static let echo6 = hex(
        """
        60000000000f3a4020010db800000000000000000000000120010db8000000000000000000000002800080de1234000161626364
        656667
        """)
    /// Port unreachable, in answer to the datagrams above.
    static let portUnreachable4 = hex(
        """
        4500003d0000400040014e89c6336402c00002010303e95200000000450000210000400040114e95c0000201c633640214e90035
        000dbaac68656c6c6f
        """)
    static let portUnreachable6 = hex(
        """
        60000000003d3a4020010db800000000000000000000000220010db8000000000000000000000001010431e00000000060000000
        000d114020010db800000000000000000000000120010db800000000000000000000000214e90035000d4b6f68656c6c6f
        """)
    /// Packet too big, with an MTU of 1280.
    static let packetTooBig6 = hex(
        """
        60000000003d3a4020010db800000000000000000000000220010db800000000000000000000000102002be40000050060000000
        000d114020010db800000000000000000000000120010db800000000000000000000000214e90035000d4b6f68656c6c6f
        """)

    static let all = [
        udp4, udp6, syn4, syn6, reset4, reset6, echo4, echo6, portUnreachable4, portUnreachable6, packetTooBig6,
    ]
}

/// Bytes from hexadecimal digits; white space is skipped.
func hex(_ digits: String) -> [UInt8] {
    let nibbles = digits.compactMap(\.hexDigitValue)
    return stride(from: 0, to: nibbles.count, by: 2).map { UInt8(nibbles[$0] << 4 | nibbles[$0 + 1]) }
}

/// Pseudo-random numbers that are the same in each run.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &self) }
    }
}

/// RFC 1071 word by word.
func naiveChecksum(_ bytes: some Collection<UInt8>) -> UInt16 {
    var sum: UInt32 = 0
    for (index, byte) in bytes.enumerated() { sum += index & 1 == 0 ? UInt32(byte) << 8 : UInt32(byte) }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return ~UInt16(sum)
}

/// Makes the IPv4 header's checksum right again.
func fixingHeaderChecksum(_ packet: [UInt8]) -> [UInt8] {
    var packet = packet
    packet.replaceSubrange(10..<12, with: [0, 0])
    let checksum = naiveChecksum(packet[0..<Int(packet[0] & 0xf) * 4])
    packet.replaceSubrange(10..<12, with: [UInt8(checksum >> 8), UInt8(checksum & 0xff)])
    return packet
}

/// Puts extension headers between the fixed IPv6 header and its payload.
func inserting(_ extensionHeaders: [UInt8], startingWith number: IPProtocolNumber, into packet: [UInt8]) -> [UInt8] {
    var packet = packet
    packet.insert(contentsOf: extensionHeaders, at: 40)
    let payloadLength = packet.count - 40
    packet.replaceSubrange(4..<6, with: [UInt8(payloadLength >> 8), UInt8(payloadLength & 0xff)])
    packet[6] = number.rawValue
    return packet
}

func parseHeader(_ packet: [UInt8]) throws(PacketFault) -> IPHeader { try IPHeader(parsing: packet.span.bytes) }

func parseTCP(_ packet: [UInt8]) throws(PacketFault) -> TCPHeader {
    let header = try parseHeader(packet)
    return try TCPHeader(parsing: packet.span.bytes.extracting(header.payload))
}

func parseUDP(_ packet: [UInt8]) throws(PacketFault) -> UDPHeader {
    let header = try parseHeader(packet)
    return try UDPHeader(parsing: packet.span.bytes.extracting(header.payload), in: header)
}

func parseICMP(_ packet: [UInt8]) throws(PacketFault) -> ICMPMessage {
    let header = try parseHeader(packet)
    return try ICMPMessage(parsing: packet.span.bytes.extracting(header.payload), in: header)
}

func parseQuotation(_ quote: some Collection<UInt8>) throws(PacketFault) -> ICMPQuotation {
    try ICMPQuotation(parsing: Array(quote).span.bytes)
}
