// What a stack sends and hears, packet by packet, over either IP version.

import NIOCore
import Netstack
import TestSupport
import Testing

/// A TCP segment as a stack has sent it, with the headers it came in.
struct HeardSegment {
    let packet: ByteBuffer
    let ip: IPHeader
    let tcp: TCPHeader
    let options: TCPOptions

    /// The bytes of data.
    var length: Int { ip.totalLength - ip.headerLength - tcp.dataOffset }

    /// Checks the checksum. Nil if the packet is of another protocol.
    init?(_ packet: ByteBuffer) throws {
        self.packet = packet
        ip = try IPHeader(parsing: packet.readableBytesSpan)
        guard ip.upperLayerProtocol == .tcp else { return nil }
        let segment = packet.readableBytesSpan.extracting(ip.payload)
        let isIntact = InternetChecksum.isValid(segment, protocol: .tcp, in: ip)
        #expect(isIntact)
        tcp = try TCPHeader(parsing: segment)
        options = try TCPOptions(parsing: segment.extracting(TCPHeader.minimumLength..<tcp.dataOffset))
    }
}

extension Endpoint {
    /// The next segment of the stack that fits.
    func segment(where fits: (HeardSegment) -> Bool = { _ in true }) async throws -> HeardSegment {
        while true {
            if let segment = try HeardSegment(#require(await read())), fits(segment) { return segment }
        }
    }

    /// Checks that the stack, which has seen all that was written before, has answered with no segment that fits.
    func expectNoAnswer(where fits: (HeardSegment) -> Bool = { _ in true }) async throws {
        let echo = ICMPEcho(identifier: 1, sequenceNumber: 1, payload: ByteBuffer())
        var packet = ByteBuffer()
        try ICMPMessage.echoRequest(echo).write(from: StackPair.farAddress, to: StackPair.nearAddress, into: &packet)
        try await write(packet)
        var answer = try #require(await read())
        while let segment = try HeardSegment(answer) {
            #expect(!fits(segment))
            answer = try #require(await read())
        }
        let header = try IPHeader(parsing: answer.readableBytesSpan)
        let message = try ICMPMessage(parsing: answer.readableBytesSpan.extracting(header.payload), in: header)
        #expect(message == .echoReply(echo))
    }
}

extension IPVersion {
    /// The stack's port 80, and a port of the peer's.
    var ends: (stack: TransportAddress, peer: TransportAddress) {
        (
            TransportAddress(self == .v4 ? StackPair.nearAddress : StackPair.nearAddress6, 80),
            TransportAddress(StackPair.far(self), 4000)
        )
    }
}
