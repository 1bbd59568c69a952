// The packets that a script sends to the stack.

import NIOCore
import Netstack

extension World {
    /// One segment, told by how it differs from the one that an honest peer would send next.
    func segment(of flow: Flow, _ script: inout Script) -> ByteBuffer {
        let flags = TCPHeader.Flags(rawValue: script.byte())
        let (kinds, more) = (script.byte(), script.byte())
        let sequence: UInt32 =
            switch kinds & 7 {
            // Where the peer's bytes begin must be known.
            case _ where flags.contains(.syn) && flow.habit == .dials: flow.initial
            case 0: flags.contains(.syn) ? flow.initial : flow.next
            case 1: flow.acknowledged
            case 2: flow.acknowledged &- 1
            case 3: flow.acknowledged &+ UInt32(script.byte())
            case 4: flow.acknowledged &+ UInt32(script.word())
            case 5: flow.acknowledged &- UInt32(script.word())
            case 6: flow.acknowledged &+ flow.window << (kinds & 0x80 == 0 ? 0 : 7) &- UInt32(script.byte() & 3)
            default: flow.acknowledged &+ UInt32(script.word()) << 16
            }
        let acknowledging: UInt32 =
            switch kinds >> 3 & 7 {
            case 0, 1: flow.stackNext
            case 2: flow.stackNext &+ 1
            case 3: flow.stackNext &- 1
            case 4: flow.stackNext &- UInt32(script.word())
            case 5: flow.stackNext &+ UInt32(script.word())
            case 6: flow.stackNext &+ UInt32(script.word()) << 16
            default: 0
            }
        let window: UInt16 =
            switch more & 7 {
            case 0, 1: 65535
            case 2: 0
            case 3: 1
            case 4: UInt16(script.byte())
            default: script.word()
            }
        let count =
            switch more >> 3 & 7 {
            case 0, 1: 0
            case 2: 1
            case 3: Int(script.byte())
            case 4: 536
            case 5: 1460
            case 6: 1461
            default: Int(min(script.word(), 60_000))
            }
        let options: [UInt8] =
            switch more >> 6 & 3 {
            case 0: []
            case 1: [2, 4] + script.take(2) + [1, 3, 3] + script.take(1)
            case 2:
                script.pick([[2, 0], [2, 1], [3, 3, 15, 2, 4, 0, 0], [8, 10, 0, 0, 0, 1], [5, 10], [1, 0, 7, 7]])
            default: script.take(Int(script.byte() & 31))
            }
        return flow.segment(
            flags, at: sequence, acknowledging: acknowledging, window: window, count: count, options: options,
            urgent: flags.contains(.urg) ? script.word() : 0)
    }

    private func plain(
        _ flow: Flow, _ flags: TCPHeader.Flags, _ sequence: UInt32, _ acknowledging: UInt32, window: UInt16 = 65535
    ) -> ByteBuffer {
        let options: [UInt8] = flags.contains(.syn) ? [2, 4, 5, 180, 1, 3, 3, 7] : []
        return flow.segment(
            flags, at: sequence, acknowledging: acknowledging, window: window, count: 0, options: options, urgent: 0)
    }

    /// A whole handshake, as an honest peer has it.
    func open(_ flow: Flow) {
        flush()
        if flow.habit == .dials {
            dial()
            send(plain(flow, [.syn, .ack], flow.initial, flow.stackNext))
        } else {
            send(plain(flow, .syn, flow.initial, 0))
            flush()
            if flow.habit == .holds { answerHeld(0) }
            send(plain(flow, .ack, flow.next, flow.stackNext))
        }
        flush()
    }

    func acknowledge(_ flow: Flow, window: UInt16) {
        send(plain(flow, .ack, flow.next, flow.stackNext, window: window))
    }

    func datagram(_ script: inout Script) -> ByteBuffer {
        let port: UInt16 = script.pick([53, 54, 55, 0])
        let count = Int(script.word() & 0x3fff)
        var packet = ByteBuffer()
        try? UDPHeader.write(
            bytes(at: 0, count: count), from: TransportAddress(peer, 5000), to: TransportAddress(own, port),
            into: &packet)
        return packet
    }

    func echo(_ script: inout Script) -> ByteBuffer {
        let target = script.byte() & 1 == 0 ? own : elsewhere
        let echo = ICMPEcho(identifier: 1, sequenceNumber: 1, payload: bytes(at: 0, count: Int(script.word() & 0x1fff)))
        var packet = ByteBuffer()
        try? ICMPMessage.echoRequest(echo).write(from: peer, to: target, into: &packet)
        return packet
    }

    /// An error about the last packet of a connection, some bytes of which may be changed.
    func icmpError(_ script: inout Script) -> ByteBuffer? {
        guard var quote = flows[Int(script.byte() & 7)].lastPacket else { return nil }
        let error = script.pick([
            ICMPError.portUnreachable, .hostUnreachable, .administrativelyProhibited, .packetTooBig(mtu: 68),
            .hopLimitExceeded,
        ])
        for _ in 0..<script.byte() & 3 {
            quote.setInteger(script.byte(), at: quote.readerIndex + Int(script.byte()) % quote.readableBytes)
        }
        var packet = ByteBuffer()
        try? ICMPMessage.error(error, quoting: quote).write(from: peer, to: own, into: &packet)
        return packet
    }

    func raw(_ script: inout Script) -> ByteBuffer {
        var packet = ByteBuffer(bytes: script.take(Int(script.byte())))
        packet.fixIPv4Checksum()
        return packet
    }

    /// SYNs from many ports to one that accepts all.
    func flood(_ count: UInt8) {
        for index in 0..<UInt16(count) {
            let source = TransportAddress(peer, 10_000 + index)
            let flow = Flow(.waits, peer: source, stack: TransportAddress(elsewhere, 90))
            batch.append(plain(flow, .syn, flow.initial, 0))
        }
    }
}
