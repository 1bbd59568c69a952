// What is fuzzed: each target takes any bytes, and must neither trap nor break what it promises.

import NIOCore
import Netstack
import SwiftStack

/// A fuzz target. The fuzzer feeds it what it makes up, the tests what it once found (see Corpus).
public enum FuzzTarget: String, CaseIterable, Sendable {
    case ipHeader = "IPHeader"
    case tcpHeader = "TCPHeader"
    case udpHeader = "UDPHeader"
    case icmpMessage = "ICMPMessage"
    case icmpQuotation = "ICMPQuotation"
    case reassembler = "Reassembler"
    case streamFraming = "StreamFraming"
    case dnsMessage = "DNSMessage"
    case text = "Text"
    case multistream = "Multistream"
    case noise = "Noise"
    case yamux = "Yamux"
    case multiaddr = "Multiaddr"
    case peerID = "PeerID"
    case protobuf = "Protobuf"
    case interface = "Interface"
    case swiftInterface = "SwiftInterface"
    case differential = "Differential"

    /// - Throws: ``Finding``.
    public func run(_ input: [UInt8]) throws(Finding) {
        var script = Script(input)
        switch self {
        case .ipHeader: try checkIPHeader(&script)
        case .tcpHeader: try checkTCPHeader(&script)
        case .udpHeader: try checkUDPHeader(&script)
        case .icmpMessage: try checkICMPMessage(&script)
        case .icmpQuotation: try checkICMPQuotation(&script)
        case .reassembler: try checkReassembler(&script)
        case .streamFraming: try checkStreamFraming(&script)
        case .dnsMessage: try checkDNSMessage(&script)
        case .text: try checkText(&script)
        case .multistream: try checkMultistream(&script)
        case .noise: try checkNoise(&script)
        case .yamux: try checkYamux(&script)
        case .multiaddr: try checkMultiaddr(&script)
        case .peerID: try checkPeerID(&script)
        case .protobuf: try checkProtobuf(&script)
        case .interface: try checkInterface(&script, on: .lwIP)
        case .differential: try checkDifferential(&script)
        case .swiftInterface: try checkInterface(&script, on: .swift)
        }
    }
}

/// A promise that was not kept.
public struct Finding: Error, CustomStringConvertible {
    public let description: String

    static func require(_ isKept: Bool, _ promise: @autoclosure () -> String) throws(Finding) {
        if !isKept { throw Finding(description: promise()) }
    }
}

/// The bytes of an input, taken from the front. Beyond the end there are zeros, so that every input means something.
struct Script {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func byte() -> UInt8 {
        defer { position += 1 }
        return position < bytes.count ? bytes[position] : 0
    }

    mutating func word() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

    mutating func take(_ count: Int) -> [UInt8] {
        let start = min(position, bytes.count)
        position = min(start + count, bytes.count)
        return Array(bytes[start..<position])
    }

    mutating func rest() -> [UInt8] { take(bytes.count) }

    /// One of several things to do or numbers to use.
    mutating func pick<Choice>(_ choices: [Choice]) -> Choice { choices[Int(byte()) % choices.count] }
}
