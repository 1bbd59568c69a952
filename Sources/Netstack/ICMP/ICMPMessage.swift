// ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.

import NIOCore

enum ICMPMessage {
    case echoRequest(identifier: UInt16, sequence: UInt16, payload: ByteBuffer)
    case echoReply(identifier: UInt16, sequence: UInt16, payload: ByteBuffer)
    case error(ICMPError, about: ICMPQuotation)
    case other(type: UInt8, code: UInt8)

    private static func echoTypes(_ version: IPVersion) -> (request: UInt8, reply: UInt8) {
        version == .v4 ? (8, 0) : (128, 129)
    }

    init(parsing message: RawSpan, _ header: IPHeader) throws(PacketFault) {
        guard message.byteCount >= 8 else { throw .truncated }
        var checksum = InternetChecksum()
        if header.version == .v6 {
            checksum.addPseudoHeader(header.source, header.destination, .icmpv6, length: message.byteCount)
        }
        checksum.add(message)
        guard checksum.value == 0 else { throw .checksum }
        let (type, code) = (message.uint8(at: 0), message.uint8(at: 1))
        let echo = Self.echoTypes(header.version)
        let rest = message.extracting(droppingFirst: 8)
        if type == echo.request || type == echo.reply, code == 0 {
            let (identifier, sequence) = (message.uint16(at: 4), message.uint16(at: 6))
            let payload = ByteBuffer(copying: rest)
            self =
                type == echo.request
                ? .echoRequest(identifier: identifier, sequence: sequence, payload: payload)
                : .echoReply(identifier: identifier, sequence: sequence, payload: payload)
        } else if let error = ICMPError(type: type, code: code, rest: message.uint32(at: 4), version: header.version) {
            self = .error(error, about: try ICMPQuotation(parsing: rest))
        } else {
            self = .other(type: type, code: code)
        }
    }

    /// Appends a whole packet with an echo request or reply.
    static func writeEcho(
        isReply: Bool, identifier: UInt16, sequence: UInt16, payload: ByteBuffer, from source: IPAddress,
        to destination: IPAddress, identification: UInt32, into buffer: inout ByteBuffer
    ) {
        let types = echoTypes(source.version)
        write(
            type: isReply ? types.reply : types.request, code: 0, rest: UInt32(identifier) << 16 | UInt32(sequence),
            payload.readableBytesSpan, from: source, to: destination, identification: identification, into: &buffer)
    }

    static func write(
        type: UInt8, code: UInt8, rest: UInt32, _ body: RawSpan, from source: IPAddress, to destination: IPAddress,
        identification: UInt32 = 0, into buffer: inout ByteBuffer
    ) {
        let length = 8 + body.byteCount
        let number: IPProtocol = source.version == .v4 ? .icmp : .icmpv6
        IPHeader.write(
            from: source, to: destination, number, payloadLength: length, identification: identification, into: &buffer)
        let start = buffer.writerIndex
        buffer.writeMultipleIntegers(type, code, UInt16(0), rest)
        body.withUnsafeBytes { _ = buffer.writeBytes($0) }
        var checksum = InternetChecksum()
        if source.version == .v6 { checksum.addPseudoHeader(source, destination, number, length: length) }
        checksum.add(buffer.readableBytesSpan.extracting(droppingFirst: start - buffer.readerIndex))
        buffer.setInteger(checksum.value, at: start + 2)
    }
}
