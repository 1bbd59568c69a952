// ICMP (RFC 792) and ICMPv6 (RFC 4443) messages, read and written.

package import NIOCore

/// A message of either version; types and codes are those of the IP header around it.
package enum ICMPMessage: Hashable, Sendable {
    case echoRequest(ICMPEcho)
    case echoReply(ICMPEcho)
    /// `quoting` is the start of the packet that caused the error.
    case error(ICMPError, quoting: ByteBuffer)
    /// A message that is not for a host like ours: router and neighbour discovery, group membership, ….
    case other(type: UInt8, code: UInt8)

    private static let headerLength = 8
    /// The longest packet of an error, in bytes: IPv6's minimum MTU (RFC 4443 section 2.4 (c)).
    static let maximumErrorLength = 1280

    /// Reads the payload of a packet with this IP header.
    package init(parsing message: RawSpan, in header: IPHeader) throws(PacketFault) {
        guard message.byteCount >= Self.headerLength else { throw .truncated }
        guard Self.isChecksumValid(message, in: header) else { throw .checksum }
        let (type, code) = (message.uint8(at: 0), message.uint8(at: 1))
        let body = ByteBuffer(copying: message.extracting(Self.headerLength..<message.byteCount))
        switch (header.version, type, code) {
        case (.v4, 8, 0), (.v6, 128, 0):
            self = .echoRequest(Self.echo(message, payload: body))
        case (.v4, 0, 0), (.v6, 129, 0):
            self = .echoReply(Self.echo(message, payload: body))
        default:
            let error = ICMPError(
                type: type, code: code, parameter: message.uint32(at: 4), version: header.version)
            if let error {
                self = .error(error, quoting: body)
            } else {
                self = .other(type: type, code: code)
            }
        }
    }

    private static func echo(_ message: RawSpan, payload: ByteBuffer) -> ICMPEcho {
        ICMPEcho(identifier: message.uint16(at: 4), sequenceNumber: message.uint16(at: 6), payload: payload)
    }

    private static func isChecksumValid(_ message: RawSpan, in header: IPHeader) -> Bool {
        switch header.version {
        case .v4:
            var checksum = InternetChecksum()
            checksum.add(message)
            return checksum.value == 0
        case .v6:
            return InternetChecksum.isValid(message, protocol: .icmpv6, in: header)
        }
    }
}

extension ICMPMessage {
    /// Writes an IP packet with this message, or throws before it has written anything.
    ///
    /// What an error quotes is cut to as much as the version allows.
    package func write(
        from source: IPAddress, to destination: IPAddress, into buffer: inout ByteBuffer
    ) throws(NetstackError) {
        let version = source.version
        let (type, code, parameter, body) = fields(version)
        let number: IPProtocolNumber = version == .v4 ? .icmp : .icmpv6
        let length = Self.headerLength + body.readableBytes
        try IPHeader.write(
            source: source, destination: destination, protocol: number, payloadLength: length, to: &buffer)
        let start = buffer.readableBytes
        buffer.writeMultipleIntegers(type, code, UInt16(0), parameter)
        buffer.writeImmutableBuffer(body)
        var checksum = InternetChecksum()
        if version == .v6 {
            checksum.addPseudoHeader(
                source: source, destination: destination, protocol: number, upperLayerLength: length)
        }
        buffer.setChecksum(at: start + 2, ofBytesFrom: start, length: length, initial: checksum)
    }

    private func fields(
        _ version: IPVersion
    ) -> (type: UInt8, code: UInt8, parameter: UInt32, body: ByteBuffer) {
        switch self {
        case .echoRequest(let echo):
            return (ICMPEcho.requestType(version), 0, echo.parameter, echo.payload)
        case .echoReply(let echo):
            return (version == .v4 ? 0 : 129, 0, echo.parameter, echo.payload)
        case .error(let error, let packet):
            let (type, code) = error.typeAndCode(version)
            let quote = packet.getSlice(
                at: packet.readerIndex, length: min(packet.readableBytes, Self.maximumQuoteLength(version)))
            let body = quote ?? ByteBuffer()
            return (type, code, Self.parameter(of: error, quoting: body, version), body)
        case .other(let type, let code):
            return (type, code, 0, ByteBuffer())
        }
    }

    /// The field behind the checksum.
    private static func parameter(of error: ICMPError, quoting quote: ByteBuffer, _ version: IPVersion) -> UInt32 {
        switch (error, version) {
        case (.packetTooBig(let mtu), .v4):
            return UInt32(UInt16(clamping: mtu))
        case (.packetTooBig(let mtu), .v6):
            return UInt32(clamping: mtu)
        case (.protocolUnreachable, .v6):
            // A pointer to the Next Header field that was not recognized (RFC 4443 section 3.4).
            let header = try? IPHeader(parsing: quote.readableBytesSpan, isQuotation: true)
            return UInt32(clamping: header?.protocolOffset ?? 6)
        default:
            return 0
        }
    }

    /// What fits a packet of 576 bytes (RFC 1812 section 4.3.2.3) or of IPv6's minimum MTU (RFC 4443 section 2.4 (c)).
    private static func maximumQuoteLength(_ version: IPVersion) -> Int {
        switch version {
        case .v4: 576 - IPHeader.minimumIPv4Length - headerLength
        case .v6: maximumErrorLength - IPHeader.ipv6Length - headerLength
        }
    }
}

extension ICMPMessage {
    /// Whether an ICMP error may answer a packet (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
    ///
    /// `payload` is what follows `header`.
    package static func mayAnswerWithError(_ header: IPHeader, payload: RawSpan) -> Bool {
        if let fragment = header.fragment, fragment.offset > 0 { return false }
        guard header.source.whyNotUnicast == nil, header.destination.whyNotUnicast == nil else { return false }
        switch (header.version, header.upperLayerProtocol) {
        case (.v4, .icmp), (.v6, .icmpv6):
            return payload.byteCount >= 1 && !ICMPError.isError(type: payload.uint8(at: 0), version: header.version)
        default:
            return true
        }
    }
}

extension ICMPEcho {
    /// The field behind the checksum.
    fileprivate var parameter: UInt32 { UInt32(identifier) << 16 | UInt32(sequenceNumber) }
}
