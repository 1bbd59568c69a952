// What is put together from parts: fragments, and packets on a byte stream.

import NIOCore
import Netstack
import NetstackLinks

extension FuzzTarget {
    /// A list of fragments, from two sources, of few datagrams: so they meet.
    func checkReassembler(_ script: inout Script) throws(Finding) {
        var reassembler = Reassembler(limit: Bound(total: 1 << 14, perSource: 1 << 13))
        var now = NIODeadline.uptimeNanoseconds(0)
        while !script.isAtEnd {
            let kind = script.byte()
            if kind >> 6 == 3 {
                now = now + .seconds(Int64(kind & 63))
                for first in reassembler.expire(now: now) {
                    let header = try? IPHeader(parsing: first.readableBytesSpan)
                    try Finding.require(header?.fragment?.offset == 0, "a datagram that expires has its first fragment")
                }
            } else {
                try add(&script, kind, to: &reassembler, now)
            }
            try Finding.require(reassembler.byteCount >= 0, "what is freed was occupied")
            try Finding.require(reassembler.byteCount <= reassembler.limit.total, "memory is bounded")
            try Finding.require((reassembler.byteCount == 0) == (reassembler.nextExpiry == nil), "all expires")
        }
        _ = reassembler.expire(now: now + .seconds(31))
        try Finding.require(reassembler.byteCount == 0, "nothing stays")
    }

    private func add(
        _ script: inout Script, _ kind: UInt8, to reassembler: inout Reassembler, _ now: NIODeadline
    ) throws(Finding) {
        let offsetAndFlags = script.word()
        let length = Int(script.byte()) * (kind & 16 == 0 ? 1 : 8)
        let data = script.byte()
        var packet = ByteBuffer()
        if kind & 1 == 0 {
            // Four bytes of options where the kind says so.
            let words: UInt8 = kind & 2 == 0 ? 5 : 6
            packet.writeMultipleIntegers(
                0x40 | words, UInt8(0), UInt16(Int(words) * 4 + length), UInt16(kind >> 2 & 1), offsetAndFlags & 0x3fff,
                UInt8(64), data & 1 == 0 ? UInt8(17) : UInt8(6), UInt16(0), UInt32(0x0a00_0001) + UInt32(kind >> 3 & 1),
                UInt32(0x0a00_0009))
            if words == 6 { packet.writeInteger(UInt32(0x0101_0101)) }
        } else {
            let extra = kind & 2 == 0 ? 0 : 8
            packet.writeMultipleIntegers(
                UInt32(6 << 28), UInt16(extra + 8 + length), UInt8(extra == 0 ? 44 : 0), UInt8(64),
                UInt128(0xfd) << 120 + UInt128(kind >> 3 & 1), UInt128(0xfd) << 120 + 9)
            if extra > 0 { packet.writeMultipleIntegers(UInt8(44), UInt8(0), UInt16(0x0104), UInt32(0)) }
            packet.writeMultipleIntegers(data, UInt8(0), offsetAndFlags, UInt32(kind >> 2 & 1))
        }
        packet.writeRepeatingByte(data, count: length)
        packet.fixIPv4Checksum()
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan) else { return }
        guard case .complete(let whole) = reassembler.add(header, packet: packet.readableBytesSpan, now: now) else {
            return
        }
        guard let complete = try? IPHeader(parsing: whole.readableBytesSpan) else {
            throw Finding(description: "what is complete can be read")
        }
        try Finding.require(complete.fragment == nil, "what is complete is no fragment")
        try Finding.require(complete.totalLength == whole.readableBytes, "what is complete is whole")
    }

    /// However a stream is cut, the packets in it are the same.
    func checkStreamFraming(_ script: inout Script) throws(Finding) {
        let cuts = script.take(Int(script.byte() & 15)).map(Int.init)
        let stream = script.rest()
        func packets(_ parts: [ArraySlice<UInt8>]) -> (packets: [ByteBuffer], fails: Bool, faultAtEnd: Bool) {
            var framing = StreamFraming()
            var packets: [ByteBuffer] = []
            for part in parts {
                do {
                    packets += try framing.packets(adding: ByteBuffer(bytes: part))
                } catch {
                    return (packets, true, true)
                }
            }
            return (packets, false, framing.faultAtEnd != nil)
        }
        let atOnce = packets([stream[...]])
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        for cut in cuts + [1, 2, 3] where start < stream.count {
            parts.append(stream[start..<min(start + cut, stream.count)])
            start += cut
        }
        if start < stream.count { parts.append(stream[start...]) }
        let cut = packets(parts)
        try Finding.require(cut.fails == atOnce.fails, "a fault is one however the stream is cut")
        try Finding.require(cut.faultAtEnd == atOnce.faultAtEnd, "the end is the same however the stream is cut")
        // What fails at once loses the packets of the same read; cut, some of them have been there before.
        guard !cut.fails else { return }
        try Finding.require(cut.packets == atOnce.packets, "the packets are the same however the stream is cut")
        for packet in cut.packets {
            let length = IPPacketLength(ofPacketStartingWith: packet.readableBytesSpan)
            try Finding.require(length == .length(packet.readableBytes), "each packet is whole")
        }
    }
}
