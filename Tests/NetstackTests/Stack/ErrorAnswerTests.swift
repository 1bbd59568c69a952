// The ICMP errors by which a stack answers.

import NIOCore
import Netstack
import TestSupport
import Testing

@Suite struct ErrorAnswerTests {
    /// Found by the fuzzer: over IPv6 an error quotes up to 1280 bytes, which not every link here holds.
    @Test(arguments: [(IPVersion.v4, 576), (.v6, 576), (.v6, 1000), (.v6, 1500)])
    func anErrorFitsTheLink(_ version: IPVersion, mtu: Int) async throws {
        let (own, peer) =
            version == .v4
            ? (StackPair.nearAddress, StackPair.farAddress) : (StackPair.nearAddress6, StackPair.farAddress6)
        let stack = try Stack(StacksUnderTest.near)
        let endpoint = Endpoint()
        try await stack.createNIC(1, endpoint: endpoint, addresses: [own], mtu: mtu)
        var packet = ByteBuffer()
        try UDPHeader.write(
            pattern(2000), from: TransportAddress(peer, 1), to: TransportAddress(own, 2), into: &packet)
        try await endpoint.write(packet)
        let answer = try #require(await endpoint.read())
        #expect(answer.readableBytes <= mtu)
        let header = try IPHeader(parsing: answer.readableBytesSpan)
        let message = try ICMPMessage(parsing: answer.readableBytesSpan.extracting(header.payload), in: header)
        guard case .error(.portUnreachable, let quote) = message else {
            Issue.record("\(message)")
            return
        }
        #expect(try ICMPQuotation(parsing: quote.readableBytesSpan).ports?.destination == 2)
        await stack.shutdown()
    }

    @Test func thereAreAThousandErrorsASecond() async throws {
        let stack = try Stack(StacksUnderTest.near)
        let endpoint = Endpoint()
        try await stack.createNIC(1, endpoint: endpoint, addresses: [StackPair.nearAddress])
        var packet = ByteBuffer()
        try UDPHeader.write(
            ByteBuffer(), from: TransportAddress(StackPair.farAddress, 1),
            to: TransportAddress(StackPair.nearAddress, 2), into: &packet)
        let count = 5000
        let start = ContinuousClock.now
        for _ in 0..<count { try await endpoint.write(packet) }
        while try await stack.statistics(of: 1).packetsReceived < count { await Task.yield() }
        let milliseconds = Int((ContinuousClock.now - start) / .milliseconds(1))
        let statistics = try await stack.statistics(of: 1)
        #expect(statistics.packetsSent + statistics.dropped[.errorLimit] == count)
        #expect((1000...1001 + milliseconds).contains(statistics.packetsSent))
        await stack.shutdown()
    }
}
