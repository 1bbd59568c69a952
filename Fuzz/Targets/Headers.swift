// The parsers of headers and messages.

import NIOCore
import Netstack

private let pairs: [IPVersion: (source: IPAddress, destination: IPAddress)] = [
    .v4: (.v4(IPv4Address(10, 0, 0, 1)), .v4(IPv4Address(10, 0, 0, 2))),
    .v6: (.v6(IPv6Address(rawValue: 0xfd << 120 | 1)), .v6(IPv6Address(rawValue: 0xfd << 120 | 2))),
]

extension FuzzTarget {
    /// Whole packets. The checksum of an IPv4 header is set right where the first byte says so.
    func checkIPHeader(_ script: inout Script) throws(Finding) {
        let fixes = script.byte() & 1 == 1
        var packet = ByteBuffer(bytes: script.rest())
        if fixes { packet.fixIPv4Checksum() }
        let bytes = packet.readableBytesSpan
        let length = IPPacketLength(ofPacketStartingWith: bytes)
        guard let header = try? IPHeader(parsing: bytes) else { return }
        try Finding.require(header.payload.upperBound <= bytes.byteCount, "the payload ends in the packet")
        try Finding.require(header.source.version == header.destination.version, "one version")
        try Finding.require(header.protocolOffset < header.headerLength, "the protocol field is in the header")
        if case .length(let length) = length {
            try Finding.require(length == header.totalLength, "both readings of the length agree")
        } else {
            throw Finding(description: "a packet that can be read has a length")
        }
        let payload = bytes.extracting(header.payload)
        _ = ICMPMessage.mayAnswerWithError(header, payload: payload)
        // What lies behind the packet makes no difference, and less is no packet.
        let exact = try? IPHeader(parsing: bytes.extracting(0..<header.totalLength))
        try Finding.require(exact == header, "padding makes no difference")
        if header.totalLength > 0 {
            let short = try? IPHeader(parsing: bytes.extracting(0..<header.totalLength - 1))
            try Finding.require(short == nil, "a packet that is cut short is none")
        }
    }

    func checkTCPHeader(_ script: inout Script) throws(Finding) {
        let (source, destination) = script.addresses()
        let segment = ByteBuffer(bytes: script.rest())
        guard let tcp = try? TCPHeader(parsing: segment.readableBytesSpan) else { return }
        try Finding.require(
            (20...60).contains(tcp.dataOffset) && tcp.dataOffset <= segment.readableBytes, "the data are in the segment"
        )
        try Finding.require(
            tcp.segmentLength >= segment.readableBytes - tcp.dataOffset, "the data count as sequence numbers")
        var packet = ByteBuffer()
        guard
            (try? IPHeader.write(
                source: source, destination: destination, protocol: .tcp, payloadLength: segment.readableBytes,
                to: &packet)) != nil
        else { return }
        packet.writeImmutableBuffer(segment)
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan) else {
            throw Finding(description: "a header that was written can be read")
        }
        var reset = ByteBuffer()
        try? tcp.writeReset(answering: header, to: &reset)
        try Finding.require((reset.readableBytes == 0) == tcp.flags.contains(.rst), "all but resets are answered")
        if reset.readableBytes > 0 { _ = try reset.checkedSegment() }
    }

    func checkUDPHeader(_ script: inout Script) throws(Finding) {
        let fixes = script.byte() & 1 == 1
        let (source, destination) = script.addresses()
        guard var packet = script.packet(.udp, from: source, to: destination) else { return }
        if fixes { packet.fixChecksum(at: 6, .udp) }
        let bytes = packet.readableBytesSpan
        guard let header = try? IPHeader(parsing: bytes),
            let udp = try? UDPHeader(parsing: bytes.extracting(header.payload), in: header)
        else { return }
        try Finding.require(udp.payload.upperBound <= header.payload.count, "the payload ends in the packet")
        var copy = ByteBuffer()
        try? UDPHeader.write(
            ByteBuffer(bytes: packet.readableBytesView.dropFirst(header.headerLength)[relative: udp.payload]),
            from: TransportAddress(source, udp.sourcePort), to: TransportAddress(destination, udp.destinationPort),
            into: &copy)
        let again = try? IPHeader(parsing: copy.readableBytesSpan)
        guard let again, let read = try? UDPHeader(parsing: copy.readableBytesSpan.extracting(again.payload), in: again)
        else { throw Finding(description: "a datagram that was written can be read") }
        try Finding.require(read == udp, "what is written is what was read")
    }

    func checkICMPMessage(_ script: inout Script) throws(Finding) {
        let fixes = script.byte() & 1 == 1
        let (source, destination) = script.addresses()
        let number: IPProtocolNumber = source.version == .v4 ? .icmp : .icmpv6
        guard var packet = script.packet(number, from: source, to: destination) else { return }
        if fixes { packet.fixChecksum(at: 2, number) }
        let bytes = packet.readableBytesSpan
        guard let header = try? IPHeader(parsing: bytes) else { return }
        let payload = bytes.extracting(header.payload)
        _ = ICMPMessage.mayAnswerWithError(header, payload: payload)
        guard let message = try? ICMPMessage(parsing: payload, in: header) else { return }
        if case .error(_, let quote) = message { _ = try? ICMPQuotation(parsing: quote.readableBytesSpan) }
        // Written and read again it is the same, but for what an error may not quote, and codes that mean the same.
        var copy = ByteBuffer()
        try? message.write(from: source, to: destination, into: &copy)
        let again = try? IPHeader(parsing: copy.readableBytesSpan)
        guard let again,
            let read = try? ICMPMessage(parsing: copy.readableBytesSpan.extracting(again.payload), in: again)
        else { throw Finding(description: "a message that was written can be read") }
        switch (message, read) {
        case (.error(let one, _), .error(let other, let quote)):
            try Finding.require(one == other, "\(one) is written and read as \(other)")
            try Finding.require(copy.readableBytes <= 1280, "an error with \(quote.readableBytes) bytes is too long")
        default:
            try Finding.require(message == read, "\(message) is written and read as \(read)")
        }
    }

    func checkICMPQuotation(_ script: inout Script) throws(Finding) {
        let quote = ByteBuffer(bytes: script.rest())
        guard let quotation = try? ICMPQuotation(parsing: quote.readableBytesSpan) else { return }
        try Finding.require(quotation.header.headerLength + 8 <= quote.readableBytes, "eight bytes follow the header")
        try Finding.require(quotation.ports == nil || quotation.echo == nil, "ports or an echo")
        try Finding.require(quotation.sequenceNumber == nil || quotation.ports != nil, "only TCP has sequence numbers")
    }
}

extension Script {
    fileprivate mutating func addresses() -> (IPAddress, IPAddress) {
        let version: IPVersion = byte() & 1 == 0 ? .v4 : .v6
        let (source, destination) = pairs[version] ?? (.v4(.any), .v4(.any))
        return (source, destination)
    }

    /// A packet with the rest of the script behind a header of ours.
    fileprivate mutating func packet(
        _ number: IPProtocolNumber, from source: IPAddress, to destination: IPAddress
    ) -> ByteBuffer? {
        let payload = rest()
        var packet = ByteBuffer()
        do {
            try IPHeader.write(
                source: source, destination: destination, protocol: number, payloadLength: payload.count, to: &packet)
        } catch {
            return nil
        }
        packet.writeBytes(payload)
        return packet
    }
}

extension Collection where Index == Int {
    fileprivate subscript(relative range: Range<Int>) -> SubSequence {
        self[startIndex + range.lowerBound..<startIndex + range.upperBound]
    }
}
