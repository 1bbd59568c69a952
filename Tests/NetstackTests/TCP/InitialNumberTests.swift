// The initial sequence numbers of TCP in Swift (RFC 6528 section 3): a clock, and a hash that nobody else can compute.

import NIOCore
import SwiftStack
import TestSupport
import Testing

@Suite struct InitialNumberTests {
    /// The number that the stack answers a SYN from `port` with, and no earlier and no later than when.
    private func number(
        _ endpoint: Endpoint, _ version: IPVersion, port: UInt16
    ) async throws -> (number: UInt32, timestamp: UInt32, from: UInt64, to: UInt64) {
        let (address, peer) = version.ends
        let source = TransportAddress(peer.address, port)
        let start = NIODeadline.now().uptimeNanoseconds
        // The timestamp tells the answer from one to an earlier SYN that is sent again.
        let value = UInt32(truncatingIfNeeded: start)
        let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
        try await endpoint.write(
            tcpPacket(.syn, from: source, to: address, options: [1, 1, 8, 10] + bytes + [0, 0, 0, 0]))
        let answer = try await endpoint.segment {
            $0.tcp.flags == [.syn, .ack] && $0.tcp.destinationPort == port && $0.options.timestamps?.echoReply == value
        }
        let end = NIODeadline.now().uptimeNanoseconds
        try await endpoint.write(tcpPacket(.rst, from: source, to: address, sequence: 2))
        let timestamps = try #require(answer.options.timestamps)
        return (answer.tcp.sequenceNumber, timestamps.value, start, end)
    }

    /// MUST-8, SHLD-1: from one connection of the same four to the next they grow by what the clock does, 64 ns for each.
    @Test(arguments: [IPVersion.v4, .v6])
    func numbersOfTheSameFourGrowWithTheClock(_ version: IPVersion) async throws {
        try await Endpoint.with(.swift) { _, _, endpoint in
            var last = try await number(endpoint, version, port: 4000)
            for _ in 0..<10 {
                let next = try await number(endpoint, version, port: 4000)
                let least = (next.from - last.to) >> 6
                let most = (next.to - last.from) >> 6 + 1
                // Unless the machine has stood still for two minutes.
                if most < 1 << 31 { #expect((least...most).contains(UInt64(next.number &- last.number))) }
                last = next
            }
        }
    }

    /// MUST-9: a stack's numbers are hashed with a key of its own, and so are its timestamps (RFC 7323 section 5.4).
    @Test func numbersOfOneStackSayNothingOfAnothers() async throws {
        try await Endpoint.with(.swift) { _, _, one in
            try await Endpoint.with(.swift) { _, _, other in
                var close = 0
                for port in 5000..<5032 as Range<UInt16> {
                    let (first, second) = (
                        try await number(one, .v4, port: port), try await number(other, .v4, port: port)
                    )
                    for distance in [second.number &- first.number, second.timestamp &- first.timestamp]
                    where min(distance, 0 &- distance) < 1 << 24 {
                        close += 1
                    }
                }
                // By chance, one in 128.
                #expect(close < 12)
            }
        }
    }

    /// RFC 7323 section 5.4: the timestamps of one connection say nothing of another's.
    @Test func timestampsOfOneConnectionSayNothingOfAnothers() async throws {
        try await Endpoint.with(.swift) { _, _, endpoint in
            var close = 0
            var last: UInt32?
            for port in 5000..<5032 as Range<UInt16> {
                let value = try await number(endpoint, .v6, port: port).timestamp
                if let last, min(value &- last, last &- value) < 1 << 24 { close += 1 }
                last = value
            }
            #expect(close < 8)
        }
    }
}
