// A TCP peer made by hand, segment by segment: for what no real one would send.

package import NIOCore
package import Netstack
import Testing

/// The far side of one connection to port 80 of a stack, over the stack's endpoint.
package struct RawPeer: Sendable {
    package static let address = TransportAddress(StackPair.farAddress, 4000)
    package static let stackAddress = TransportAddress(StackPair.nearAddress, 80)

    private let endpoint: Endpoint
    /// This side's address: another port is another connection.
    package let source: TransportAddress
    /// The sequence number of the first byte of each direction.
    package private(set) var first: UInt32 = 1001
    package private(set) var stackFirst: UInt32 = 0

    package init(_ endpoint: Endpoint, port: UInt16 = 4000) {
        self.endpoint = endpoint
        source = TransportAddress(Self.address.address, port)
    }

    /// A stack with a listener on port 80, and the endpoint to reach it by.
    package static func with(
        mtu: Int? = 1500, limits: Stack.Limits = .init(),
        _ body: @Sendable (Stack, TCPListener, Endpoint) async throws -> Void
    ) async throws {
        try await Endpoint.with(addresses: [stackAddress.address], mtu: mtu, limits: limits, body)
    }

    /// Opens the connection.
    ///
    /// - Returns: the header of the stack's SYN-ACK.
    @discardableResult
    package mutating func handshake(window: UInt16, options: [UInt8] = []) async throws -> TCPHeader {
        try await sendSYN(window: window, options: options)
        // One that was heard before is of the connection before, sent again.
        let before = stackFirst &- 1
        let answer = try await heardSYN { $0.flags == [.syn, .ack] && $0.sequenceNumber != before }
        try await send(.ack, window: window)
        return answer
    }

    package func sendSYN(window: UInt16, options: [UInt8] = []) async throws {
        try await endpoint.write(
            tcpPacket(
                .syn, from: source, to: Self.stackAddress, sequence: first &- 1, window: window, options: options))
    }

    /// Waits for the stack's SYN, or SYN-ACK.
    @discardableResult
    package mutating func heardSYN(
        where fits: (TCPHeader) -> Bool = { $0.flags.contains(.syn) }
    ) async throws -> TCPHeader {
        let syn = try await next(where: fits).header
        stackFirst = syn.sequenceNumber &+ 1
        return syn
    }

    /// Sends a segment; offsets count from the first byte of each direction.
    package func send(
        _ flags: TCPHeader.Flags, at offset: UInt32 = 0, acknowledging acknowledged: UInt32 = 0, window: UInt16,
        payload: ByteBuffer = ByteBuffer()
    ) async throws {
        try await endpoint.write(
            segment(flags, at: offset, acknowledging: acknowledged, window: window, payload: payload))
    }

    package func segment(
        _ flags: TCPHeader.Flags, at offset: UInt32, acknowledging acknowledged: UInt32 = 0, window: UInt16,
        payload: ByteBuffer
    ) -> ByteBuffer {
        tcpPacket(
            flags, from: source, to: Self.stackAddress, sequence: first &+ offset,
            acknowledgment: stackFirst &+ acknowledged, window: window, payload: payload)
    }

    /// The next segment of this connection that fits.
    package func next(
        where fits: (TCPHeader) -> Bool = { _ in true }
    ) async throws -> (header: TCPHeader, payload: ByteBuffer) {
        while true {
            let packet = try #require(await endpoint.read())
            let header = try IPHeader(parsing: packet.readableBytesSpan)
            guard header.upperLayerProtocol == .tcp else { continue }
            let segment = packet.readableBytesSpan.extracting(header.payload)
            let isIntact = InternetChecksum.isValid(segment, protocol: .tcp, in: header)
            #expect(isIntact)
            let tcp = try TCPHeader(parsing: segment)
            guard tcp.destinationPort == source.port, fits(tcp) else { continue }
            let start = header.headerLength + tcp.dataOffset
            return (
                tcp, packet.getSlice(at: packet.readerIndex + start, length: header.totalLength - start) ?? ByteBuffer()
            )
        }
    }
}

/// A whole packet with one TCP segment. The length of `options` is a multiple of four.
package func tcpPacket(
    _ flags: TCPHeader.Flags, from source: TransportAddress, to destination: TransportAddress, sequence: UInt32 = 1,
    acknowledgment: UInt32 = 0, window: UInt16 = 1000, options: [UInt8] = [], payload: ByteBuffer = ByteBuffer()
) -> ByteBuffer {
    var packet = ByteBuffer()
    let length = 20 + options.count + payload.readableBytes
    try? IPHeader.write(
        source: source.address, destination: destination.address, protocol: .tcp, payloadLength: length, to: &packet)
    let start = packet.readableBytes
    packet.writeMultipleIntegers(
        source.port, destination.port, sequence, acknowledgment, UInt8((20 + options.count) / 4) << 4, flags.rawValue,
        window, UInt16(0), UInt16(0))
    packet.writeBytes(options)
    packet.writeImmutableBuffer(payload)
    var checksum = InternetChecksum()
    checksum.addPseudoHeader(
        source: source.address, destination: destination.address, protocol: .tcp, upperLayerLength: length)
    checksum.add(packet.readableBytesSpan.extracting(start..<packet.readableBytes))
    packet.setInteger(checksum.value, at: start + 16)
    return packet
}
