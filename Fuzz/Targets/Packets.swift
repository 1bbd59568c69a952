// Packets whose checksums are right, whatever else is wrong with them.

import NIOCore
import Netstack

extension ByteBuffer {
    /// Sets the checksum of an IPv4 header, if there is one.
    mutating func fixIPv4Checksum() {
        guard readableBytes >= 20, let first: UInt8 = getInteger(at: readerIndex), first >> 4 == 4 else { return }
        let length = Int(first & 15) * 4
        guard length >= 20, length <= readableBytes else { return }
        setInteger(UInt16(0), at: readerIndex + 10)
        var checksum = InternetChecksum()
        checksum.add(readableBytesSpan.extracting(0..<length))
        setInteger(checksum.value, at: readerIndex + 10)
    }

    /// Sets the checksum of what an IP header carries, at `offset` in it, if the packet is long enough.
    mutating func fixChecksum(at offset: Int, _ number: IPProtocolNumber) {
        guard let header = try? IPHeader(parsing: readableBytesSpan), header.payload.count >= offset + 2 else { return }
        let field = readerIndex + header.headerLength + offset
        setInteger(UInt16(0), at: field)
        var checksum = InternetChecksum()
        if number != .icmp {
            checksum.addPseudoHeader(
                source: header.source, destination: header.destination, protocol: number,
                upperLayerLength: header.payload.count)
        }
        checksum.add(readableBytesSpan.extracting(header.payload))
        setInteger(checksum.value, at: field)
    }

    /// The segment in a packet that the stack has made: it must be sound.
    func checkedSegment() throws(Finding) -> (ip: IPHeader, tcp: TCPHeader, data: ByteBuffer) {
        guard let header = try? IPHeader(parsing: readableBytesSpan), header.totalLength == readableBytes else {
            throw Finding(description: "a packet of the stack can be read")
        }
        let segment = readableBytesSpan.extracting(header.payload)
        let isValid = InternetChecksum.isValid(segment, protocol: .tcp, in: header)
        try Finding.require(isValid, "a segment's checksum is right")
        guard let tcp = try? TCPHeader(parsing: segment) else {
            throw Finding(description: "a segment of the stack can be read")
        }
        let start = header.headerLength + tcp.dataOffset
        return (
            header, tcp, getSlice(at: readerIndex + start, length: header.totalLength - start) ?? ByteBuffer()
        )
    }
}
