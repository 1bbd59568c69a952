// Segments of one connection that follow each other in a batch, joined before they reach TCP: what network hardware
// calls receive offload. A run costs TCP as much as one segment.

package import NIOCore

/// Segments that follow each other without a gap and say the same, or one segment that may say anything.
package struct TCPSegmentRun {
    /// The longest run, in bytes of data: a segment and its headers have to fit into 16 bits.
    package static let maximumLength = 0xf000

    package let ip: IPHeader
    /// The header of the first segment.
    package let tcp: TCPHeader
    /// Where that header lies in the batch.
    package let header: Range<Int>
    /// Where the data of each segment lie in the batch. The first may be empty, and is then alone.
    private var data: [Range<Int>]
    /// The data of all of them, where they are not in the batch.
    private var offloaded: ByteBuffer?
    /// How many segments these are.
    package private(set) var count = 1
    package private(set) var byteCount: Int
    /// As the last segment has them.
    package private(set) var acknowledgmentNumber: UInt32
    package private(set) var window: UInt16
    package private(set) var flags: TCPHeader.Flags

    /// Starts with a segment that lies at `segment` in the batch.
    package init(_ ip: IPHeader, _ tcp: TCPHeader, at segment: Range<Int>) {
        self.ip = ip
        self.tcp = tcp
        header = segment.lowerBound..<segment.lowerBound + tcp.dataOffset
        data = [header.upperBound..<segment.upperBound]
        byteCount = segment.upperBound - header.upperBound
        acknowledgmentNumber = tcp.acknowledgmentNumber
        window = tcp.window
        flags = tcp.flags
    }

    /// Adds the next segment, if TCP would see no difference.
    package mutating func add(
        _ ip: IPHeader, _ next: TCPHeader, at segment: Range<Int>, of batch: RawSpan
    ) -> Bool {
        let start = segment.lowerBound + next.dataOffset
        let count = segment.upperBound - start
        guard byteCount > 0, count > 0, byteCount + count <= Self.maximumLength,
            next.sourcePort == tcp.sourcePort, next.destinationPort == tcp.destinationPort,
            next.sequenceNumber == tcp.sequenceNumber &+ UInt32(truncatingIfNeeded: byteCount),
            flags.isJoinable, next.flags.isJoinable,
            next.dataOffset == tcp.dataOffset,
            Int32(bitPattern: next.acknowledgmentNumber &- acknowledgmentNumber) >= 0,
            ip.source == self.ip.source, ip.destination == self.ip.destination,
            ip.congestionExperienced == self.ip.congestionExperienced,
            tcp.dataOffset == TCPHeader.minimumLength || hasOptions(ofSegmentAt: segment.lowerBound, in: batch)
        else { return false }
        data.append(start..<segment.upperBound)
        self.count += 1
        byteCount += count
        acknowledgmentNumber = next.acknowledgmentNumber
        window = next.window
        flags.formUnion(next.flags)
        return true
    }

    /// Adds the data that an offloaded segment has, to its header.
    mutating func carry(_ segment: OffloadedSegment) {
        offloaded = segment.data
        byteCount = segment.data.readableBytes
        count = segment.count
    }

    /// The connection that the run is for.
    package func connection(on nic: NetworkInterface) -> TCPControlBlock.ID {
        TCPControlBlock.ID(
            nic: nic.id, local: TransportAddress(ip.destination, tcp.destinationPort),
            remote: TransportAddress(ip.source, tcp.sourcePort))
    }

    /// Whether a segment with as long a header has the same options.
    private func hasOptions(ofSegmentAt start: Int, in batch: RawSpan) -> Bool {
        var offset = TCPHeader.minimumLength
        // A header is a whole number of words long.
        while offset < tcp.dataOffset {
            if batch.uint32(at: header.lowerBound + offset) != batch.uint32(at: start + offset) { return false }
            offset += 4
        }
        return true
    }

    /// The sequence numbers that the run occupies, SYN and FIN included.
    package var segmentLength: Int { byteCount == data[0].count ? tcp.segmentLength : byteCount }

    /// Writes the header of the run as that of one segment. The checksum is not set: it has been checked.
    package func writeHeader(from batch: RawSpan, to bytes: UnsafeMutableRawBufferPointer) {
        batch.extracting(header).withUnsafeBytes { bytes.copyMemory(from: $0) }
        bytes.storeBytes(of: acknowledgmentNumber.bigEndian, toByteOffset: 8, as: UInt32.self)
        bytes[13] = flags.rawValue
        bytes.storeBytes(of: window.bigEndian, toByteOffset: 14, as: UInt16.self)
    }

    /// The data of all segments together: copied, unless they are a large part of the batch as they are.
    package func joinedData(from batch: ByteBuffer) -> ByteBuffer {
        if let offloaded { return offloaded }
        if data.count == 1, byteCount >= batch.readableBytes / 4,
            let slice = batch.getSlice(at: batch.readerIndex + data[0].lowerBound, length: byteCount)
        {
            return slice
        }
        var joined = ByteBuffer()
        joined.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { target in
            batch.withUnsafeReadableBytes { bytes in
                var end = 0
                for range in data {
                    // Both stay in bounds: the ranges lie in the batch, and are `byteCount` long together.
                    UnsafeMutableRawBufferPointer(rebasing: target[end...]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[range]))
                    end += range.count
                }
                return end
            }
        }
        return joined
    }
}

extension TCPHeader.Flags {
    /// Whether a segment with these says nothing but "here is data".
    fileprivate var isJoinable: Bool { contains(.ack) && isSubset(of: [.ack, .psh]) }
}
