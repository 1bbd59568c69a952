// What peers of libp2p send: negotiations, handshakes, frames, addresses and messages.

import Crypto
import NIOCore
import NetstackLibP2P

extension FuzzTarget {
    private static let protocols = ["/noise", "/yamux/1.0.0", "/a"]

    func checkMultistream(_ script: inout Script) throws(Finding) {
        let isDialler = script.byte() & 1 == 0
        let cuts = script.take(Int(script.byte() & 15)).map { Int($0) + 1 }
        let stream = script.rest()
        func negotiate(_ parts: [ArraySlice<UInt8>]) -> (agreed: String?, reply: ByteBuffer, rest: Int, fails: Bool) {
            var negotiation = MultistreamNegotiation(
                isDialler
                    ? .dialler(Self.protocols)
                    : .listener(accepts: Self.protocols.contains, all: { Self.protocols }), messageLimit: 64)
            var (reply, rest, agreed) = (ByteBuffer(), 0, String?.none)
            for part in parts {
                guard agreed == nil else {
                    rest += part.count
                    continue
                }
                do {
                    agreed = try negotiation.receive(ByteBuffer(bytes: part), reply: &reply)
                } catch {
                    return (nil, reply, 0, true)
                }
                if agreed != nil { rest = negotiation.takeRest().readableBytes }
            }
            return (agreed, reply, rest, false)
        }
        var parts: [ArraySlice<UInt8>] = []
        var start = 0
        for cut in cuts where start < stream.count {
            parts.append(stream[start..<min(start + cut, stream.count)])
            start += cut
        }
        if start < stream.count { parts.append(stream[start...]) }
        let (cut, atOnce) = (negotiate(parts), negotiate([stream[...]]))
        try Finding.require(cut == atOnce, "a negotiation is the same however it is cut")
        if let agreed = atOnce.agreed {
            try Finding.require(Self.protocols.contains(agreed), "what is agreed is known")
        }
    }

    func checkNoise(_ script: inout Script) throws(Finding) {
        guard let seed = try? NoiseHandshake.PrivateKey(rawRepresentation: Array(repeating: 7, count: 32)) else {
            return
        }
        let isInitiator = script.byte() & 1 == 0
        var side = NoiseHandshake(isInitiator ? .initiator : .responder, staticKey: seed, ephemeralKey: seed)
        var peer = NoiseHandshake(isInitiator ? .responder : .initiator, staticKey: seed, ephemeralKey: seed)
        var isHonest = true
        while !side.isComplete {
            do {
                if side.writes {
                    let message = try side.write(ByteBuffer(string: "payload"))
                    if isHonest { _ = try peer.read(message) }
                } else if script.byte() & 3 != 0, isHonest {
                    // Encrypted as it should be, and signed by nobody.
                    let payload = ByteBuffer(bytes: script.take(Int(script.byte())))
                    _ = try side.read(peer.write(payload))
                    if let key = side.peerStaticKey { _ = try? NoisePayload.verify(payload, for: key) }
                } else {
                    isHonest = false
                    _ = try side.read(ByteBuffer(bytes: script.take(Int(script.byte()))))
                }
            } catch {
                return try Finding.require(!isHonest, "an honest handshake succeeds")
            }
        }
        // The last message of an initiator is its own: that nobody has answered shows only later.
        var (_, receiving) = side.split()
        var (sent, plaintext) = (ByteBuffer(), ByteBuffer())
        if isHonest {
            var (sending, _) = peer.split()
            try? sending.encrypt(ByteBuffer(bytes: script.take(16)), to: &sent)
            sent.setInteger((sent.getInteger(at: 0) ?? UInt8(0)) ^ (script.byte() | 1), at: 0)
        } else {
            sent.writeBytes(script.rest())
        }
        let isRead = (try? receiving.decrypt(sent, to: &plaintext)) != nil
        try Finding.require(!isRead, "what is changed or made up is refused")
    }

    func checkYamux(_ script: inout Script) throws(Finding) {
        var limits = YamuxLimits()
        limits.inboundStreams = 4
        limits.unacknowledgedStreams = 4
        limits.streamWindowBytes = 1 << 20
        limits.connectionWindowBytes = 1 << 20
        var now = NIODeadline.uptimeNanoseconds(0)
        let session = YamuxSession(script.byte() & 1 == 0 ? .client : .server, limits: limits) { now }
        do {
            while !script.isAtEnd {
                let act = script.byte()
                now = now + .milliseconds(Int64(act >> 5))
                switch act & 7 {
                case 0...3:
                    var bytes = ByteBuffer()
                    let frame = YamuxFrame(
                        script.pick([.data, .windowUpdate, .ping, .goAway]),
                        YamuxFrame.Flags(rawValue: UInt16(script.byte())), streamID: UInt32(script.byte() & 15),
                        length: script.byte() & 3 == 0 ? .max : UInt32(script.word()))
                    frame.write(to: &bytes)
                    if frame.kind == .data { bytes.writeRepeatingByte(1, count: min(Int(frame.length), 1 << 16)) }
                    try session.receive(bytes)
                case 4: try session.receive(ByteBuffer(bytes: script.take(Int(script.byte() & 31))))
                case 5: if let stream = pick(&script, session) { _ = stream.read(upTo: Int(script.word()) + 1) }
                case 6:
                    guard let stream = pick(&script, session) else {
                        _ = try? session.openStream()
                        continue
                    }
                    switch script.byte() & 3 {
                    case 0: stream.closeWrite()
                    case 1: stream.close()
                    case 2: stream.reset()
                    default:
                        var bytes = ByteBuffer(repeating: 2, count: Int(script.word()))
                        try? stream.write(&bytes, more: false)
                    }
                default:
                    if act & 8 == 0 { _ = session.takeOutput() } else { _ = session.ping() }
                    _ = session.takeNews()
                }
                try check(session, limits)
            }
        } catch let finding as Finding {
            throw finding
        } catch {
            // The peer has broken a rule.
        }
        session.end(LibP2PError.closed)
        _ = session.takeNews()
        try Finding.require(session.streams.isEmpty, "nothing stays of a session that has ended")
    }

    private func pick(_ script: inout Script, _ session: YamuxSession) -> YamuxStream? {
        let streams = session.streams.values.sorted { $0.id < $1.id }
        let number = Int(script.byte())
        return streams.isEmpty || number & 64 != 0 ? nil : streams[number % streams.count]
    }

    private func check(_ session: YamuxSession, _ limits: YamuxLimits) throws(Finding) {
        let streams = session.streams.values
        try Finding.require(streams.allSatisfy { $0.window <= limits.streamWindowBytes }, "a window keeps its limit")
        let grown = streams.reduce(0) { $0 + $1.window - YamuxStream.initialWindow }
        try Finding.require((0...limits.connectionWindowBytes).contains(grown), "windows keep their limit together")
        try Finding.require(session.output.readableBytes < 2 << 20, "what waits to be sent is bounded")
    }

    func checkMultiaddr(_ script: inout Script) throws(Finding) {
        let bytes = script.rest()
        if let address = try? Multiaddr(String(decoding: bytes, as: UTF8.self)) {
            try Finding.require((try? Multiaddr("\(address)")) == address, "its text is read as the same")
            try Finding.require((try? Multiaddr(parsing: address.serialized())) == address, "so are its bytes")
        }
        if let address = try? Multiaddr(parsing: ByteBuffer(bytes: bytes)) {
            try Finding.require((try? Multiaddr("\(address)")) == address, "its text is read as the same")
            try Finding.require(address.serialized() == ByteBuffer(bytes: bytes), "its bytes are those that were read")
        }
    }

    func checkPeerID(_ script: inout Script) throws(Finding) {
        let bytes = script.rest()
        for peer in [try? PeerID(String(decoding: bytes, as: UTF8.self)), try? PeerID(bytes: bytes)] {
            guard let peer else { continue }
            try Finding.require((try? PeerID("\(peer)")) == peer, "its text is read as the same")
            try Finding.require((try? PeerID(peer.cid)) == peer, "so is its CID")
            try Finding.require((try? PeerID(bytes: peer.bytes)) == peer, "so are its bytes")
        }
    }

    func checkProtobuf(_ script: inout Script) throws(Finding) {
        let bytes = ByteBuffer(bytes: script.rest())
        if let message = try? ProtobufMessage(parsing: bytes, as: "message") {
            let again = try? ProtobufMessage(parsing: message.serialized(), as: "message")
            try Finding.require(
                again?.fields.elementsEqual(message.fields) { $0.number == $1.number && $0.value == $1.value } == true,
                "what is written is read as the same")
        }
        if let identification = try? Identification(parsing: bytes) {
            var written = identification.serialized()
            _ = try? written.readUnsignedVarint()
            try Finding.require(
                (try? Identification(parsing: written)) == identification, "what is written is read as the same")
        }
        _ = try? PublicKey(parsing: bytes)
        _ = try? Identity(parsing: bytes)
    }
}
