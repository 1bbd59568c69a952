// The way of a segment to packets: cut to the size that the path takes, with headers and checksums.

import NIOCore
import NetstackCore

/// Writes segments as packets into what a NIC sends next.
enum SegmentWriter {
    /// What each packet says to the routers on its way.
    struct Marks {
        var hopLimit: UInt8
        /// Of differentiated services (RFC 2474 section 3): six bits.
        var codePoint: UInt8
    }

    static func send(
        _ segment: TCPOutgoingSegment, _ payload: borrowing TCPSendBuffer, of id: TCPControlBlock.ID, _ marks: Marks,
        on nic: NetworkInterface
    ) {
        let size = max(segment.maximumSegmentSize, 1)
        let count = max((segment.payloadLength + size - 1) / size, 1)
        let layout = Layout(of: segment, id)
        let longest = layout.transport + min(segment.payloadLength, size)
        guard
            (try? IPHeader.requireWritable(
                source: id.local.address, destination: id.remote.address, payloadLength: longest)) != nil
        else { return }
        if segment.flags.isSubset(of: [.ack, .psh]), !segment.isECNCapable,
            nic.offloads(dataCount: segment.payloadLength)
        {
            var header = ByteBuffer()
            header.writeWithUnsafeMutableBytes(minimumWritableBytes: layout.headers) { bytes in
                let packet = UnsafeMutableRawBufferPointer(rebasing: bytes[..<layout.headers])
                let sum = writeHeaders(of: segment, id, marks, payloadLength: 0, layout, to: packet)
                complete(packet, of: segment, layout, sum, offset: 0, isFirst: true, isLast: true)
                return layout.headers
            }
            let data = payload.bytes(from: segment.payloadOffset, count: segment.payloadLength)
            return nic.send(OffloadedSegment(header: header, data: data, count: count))
        }
        nic.send(
            count: count, length: layout.headers + size, total: count * layout.headers + segment.payloadLength
        ) { packets in
            var start = 0
            var sum = InternetChecksum()
            for index in 0..<count {
                let offset = index * size
                let length = min(segment.payloadLength - offset, size)
                let end = start + layout.headers + length
                let packet = UnsafeMutableRawBufferPointer(rebasing: packets[start..<end])
                if index > 0, length == size {
                    packet.copyMemory(from: UnsafeRawBufferPointer(rebasing: packets[..<layout.headers]))
                } else {
                    // Only the last is of another length.
                    sum = writeHeaders(of: segment, id, marks, payloadLength: length, layout, to: packet)
                }
                if length > 0, let bytes = packet.baseAddress {
                    // Safe: the packet has room for `length` bytes behind its headers.
                    payload.copyBytes(
                        from: segment.payloadOffset + offset, count: length, to: bytes + layout.headers)
                }
                complete(
                    packet, of: segment, layout, sum, offset: offset, isFirst: index == 0, isLast: index == count - 1)
                start = end
            }
        }
    }

    /// How long the headers of a segment's packets are, in bytes.
    private struct Layout {
        let network: Int
        let transport: Int

        init(of segment: TCPOutgoingSegment, _ id: TCPControlBlock.ID) {
            network = IPHeader.minimumLength(id.remote.address.version)
            transport = TCPHeader.minimumLength + segment.options.encodedLength
        }

        var headers: Int { network + transport }
    }

    /// Writes the headers as far as all packets of a length have them in common.
    ///
    /// - Returns: the sum of the pseudo-header and of what TCP's header has so far.
    private static func writeHeaders(
        of segment: TCPOutgoingSegment, _ id: TCPControlBlock.ID, _ marks: Marks, payloadLength: Int, _ layout: Layout,
        to packet: UnsafeMutableRawBufferPointer
    ) -> InternetChecksum {
        let (source, destination) = (id.local.address, id.remote.address)
        let length = layout.transport + payloadLength
        IPHeader.write(
            source: source, destination: destination, protocol: .tcp, hopLimit: marks.hopLimit,
            trafficClass: marks.codePoint << 2 | (segment.isECNCapable ? 2 : 0), payloadLength: length, to: packet)
        // Safe: the packet has room for its headers, and TCP's is as long as `layout` says.
        let header = UnsafeMutableRawBufferPointer(rebasing: packet[layout.network..<layout.headers])
        header.storeBytes(of: id.local.port.bigEndian, toByteOffset: 0, as: UInt16.self)
        header.storeBytes(of: id.remote.port.bigEndian, toByteOffset: 2, as: UInt16.self)
        header.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        header.storeBytes(of: segment.acknowledgmentNumber.rawValue.bigEndian, toByteOffset: 8, as: UInt32.self)
        let dataOffset = UInt16(truncatingIfNeeded: layout.transport / 4)
        header.storeBytes(of: (dataOffset << 12).bigEndian, toByteOffset: 12, as: UInt16.self)
        header.storeBytes(of: segment.window.bigEndian, toByteOffset: 14, as: UInt16.self)
        header.storeBytes(of: 0, toByteOffset: 16, as: UInt32.self)
        segment.options.write(to: UnsafeMutableRawBufferPointer(rebasing: header[TCPHeader.minimumLength...]))
        var sum = InternetChecksum()
        sum.addPseudoHeader(source: source, destination: destination, protocol: .tcp, upperLayerLength: length)
        sum.add(header.bytes)
        return sum
    }

    /// Sets what differs from one packet of a segment to the next: the sequence number, the flags and TCP's checksum.
    private static func complete(
        _ packet: UnsafeMutableRawBufferPointer, of segment: TCPOutgoingSegment, _ layout: Layout,
        _ sum: InternetChecksum, offset: Int, isFirst: Bool, isLast: Bool
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
        // Safe: the packet begins with its headers.
        packet.storeBytes(of: sequence.bigEndian, toByteOffset: layout.network + 4, as: UInt32.self)
        packet[layout.network + 13] = flags.rawValue
        if packet.count > layout.headers {
            checksum.add(packet.bytes.extracting(layout.headers..<packet.count))
        }
        packet.storeBytes(of: checksum.value.bigEndian, toByteOffset: layout.network + 16, as: UInt16.self)
    }
}
