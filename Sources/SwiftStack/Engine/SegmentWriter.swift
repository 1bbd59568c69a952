// The way of a segment to packets: cut to the size that the path takes, with headers and checksums.

import NIOCore
import NetstackCore

/// Writes segments as packets into what a NIC sends next.
struct SegmentWriter {
    /// The headers of the packets of a segment, as they are but for the sequence number, the flags and TCP's checksum.
    private var headers = ByteBuffer()
    /// The sum of the pseudo-header and of TCP's own, as it is in `headers`.
    private var sum = InternetChecksum()
    /// How long the IP header is.
    private var networkLength = 0

    mutating func send(
        _ segment: TCPOutgoingSegment, _ payload: borrowing TCPSendBuffer, of id: TCPControlBlock.ID,
        on nic: NetworkInterface
    ) {
        let size = max(segment.maximumSegmentSize, 1)
        let count = max((segment.payloadLength + size - 1) / size, 1)
        let length = min(segment.payloadLength, size)
        guard makeHeaders(of: segment, payloadLength: length, id) else { return }
        let headerLength = headers.readableBytes
        nic.send(
            count: count, length: headerLength + size, total: count * headerLength + segment.payloadLength
        ) { packets in
            var start = 0
            for index in 0..<count {
                let offset = index * size
                let length = min(segment.payloadLength - offset, size)
                // Only the last is of another length.
                if index > 0, length < size { _ = makeHeaders(of: segment, payloadLength: length, id) }
                let end = start + headerLength + length
                let packet = UnsafeMutableRawBufferPointer(rebasing: packets[start..<end])
                headers.withUnsafeReadableBytes { packet.copyMemory(from: $0) }
                if length > 0, let bytes = packet.baseAddress {
                    // Safe: the packet has room for `length` bytes behind its headers.
                    payload.copyBytes(
                        from: segment.payloadOffset + offset, count: length, to: bytes + headerLength)
                }
                complete(packet, of: segment, offset: offset, isFirst: index == 0, isLast: index == count - 1)
                start = end
            }
        }
    }

    /// Returns whether there is such a packet: there is, unless the addresses don't fit each other.
    private mutating func makeHeaders(
        of segment: TCPOutgoingSegment, payloadLength: Int, _ id: TCPControlBlock.ID
    ) -> Bool {
        headers.clear()
        let optionsLength = segment.options.encodedLength
        let headerLength = 20 + optionsLength
        let (source, destination) = (id.local.address, id.remote.address)
        do {
            try IPHeader.write(
                source: source, destination: destination, protocol: .tcp, isECNCapable: segment.isECNCapable,
                payloadLength: headerLength + payloadLength, to: &headers)
        } catch {
            return false
        }
        networkLength = headers.readableBytes
        // The sequence number, flags and checksum follow.
        headers.writeMultipleIntegers(
            id.local.port, id.remote.port, UInt32(0), segment.acknowledgmentNumber.rawValue,
            UInt16(truncatingIfNeeded: headerLength / 4) << 12, segment.window, UInt16(0), UInt16(0))
        if optionsLength > 0 {
            headers.writeWithUnsafeMutableBytes(minimumWritableBytes: optionsLength) {
                segment.options.write(to: UnsafeMutableRawBufferPointer(rebasing: $0[..<optionsLength]))
                return optionsLength
            }
        }
        var sum = InternetChecksum()
        sum.addPseudoHeader(
            source: source, destination: destination, protocol: .tcp, upperLayerLength: headerLength + payloadLength)
        sum.add(headers.readableBytesSpan.extracting(networkLength..<headers.readableBytes))
        self.sum = sum
        return true
    }

    /// Sets what differs from one packet of a segment to the next.
    private func complete(
        _ packet: UnsafeMutableRawBufferPointer, of segment: TCPOutgoingSegment, offset: Int, isFirst: Bool,
        isLast: Bool
    ) {
        let sequence = (segment.sequenceNumber + offset).rawValue
        var flags = segment.flags
        if !isLast {
            flags.remove(.fin)
            flags.remove(.psh)
        }
        if !isFirst { flags.remove(.cwr) }
        var checksum = sum
        checksum.add(UInt16(truncatingIfNeeded: sequence >> 16))
        checksum.add(UInt16(truncatingIfNeeded: sequence))
        checksum.add(UInt16(flags.rawValue))
        // Safe: `packet` begins with the headers, of which TCP's has at least twenty bytes.
        packet.storeBytes(of: sequence.bigEndian, toByteOffset: networkLength + 4, as: UInt32.self)
        packet[networkLength + 13] = flags.rawValue
        checksum.add(packet.bytes.extracting(headers.readableBytes..<packet.count))
        packet.storeBytes(of: checksum.value.bigEndian, toByteOffset: networkLength + 16, as: UInt16.self)
    }
}
