// The way in: from the bytes of a packet to TCP, a socket, an answer, or a counter.

import NIOCore

extension StackCore {
    /// Every packet is hostile until checked: none of these checks is left to TCP, which trusts its IP layer.
    ///
    /// - Parameters:
    ///   - range: where the packet lies in `batch`.
    ///   - run: segments that wait for the next to join them.
    ///   - reassembled: whether the packet came in fragments.
    ///   - count: how many packets it stands for.
    func input(
        _ range: Range<Int>, of batch: ByteBuffer, on nic: NetworkInterface, after run: inout TCPSegmentRun?,
        reassembled: Bool = false, count: Int = 1
    ) {
        let packet = batch.readableBytesSpan.extracting(range)
        var header: IPHeader
        do {
            header = try IPHeader(parsing: packet)
        } catch {
            return nic.statistics.drop(.malformed, count: count)
        }
        if reassembled { header.dontFragment = false }
        // RFC 1122 section 3.2.1.3, RFC 4291 section 2.5: such addresses never stand in a packet between hosts. A source
        // that is our own, or the destination itself, is a "land" packet.
        guard header.source != header.destination, header.source.whyNotUnicast == nil,
            header.destination.whyNotUnicast == nil, !nic.owns(header.source)
        else { return nic.statistics.drop(.martian, count: count) }
        if !nic.owns(header.destination) {
            guard nic.promiscuous else { return nic.statistics.drop(.misdirected, count: count) }
            // To those who send to addresses behind it, the stack is a router: a hop (RFC 1812 section 5.3.1).
            guard header.hopLimit > 1 else {
                nic.statistics.drop(.hopLimit, count: count)
                return answer(.hopLimitExceeded, to: header, packet, on: nic)
            }
        }

        guard header.fragment == nil else {
            end(&run, of: batch, on: nic)
            return reassemble(header, packet, on: nic)
        }
        let payload = packet.extracting(header.payload)
        switch header.upperLayerProtocol {
        case .tcp:
            let start = range.lowerBound
            let segment = start + header.payload.lowerBound..<start + header.payload.upperBound
            tcpInput(header, payload, at: segment, packet, of: batch, on: nic, after: &run)
        case .udp: udpInput(header, payload, packet, on: nic)
        case .icmp where header.version == .v4, .icmpv6 where header.version == .v6:
            icmpInput(header, payload, packet, on: nic)
        case .noNextHeader where header.version == .v6: break
        default:
            nic.statistics.drop(.unknownProtocol)
            answer(.protocolUnreachable, to: header, packet, on: nic)
        }
    }

    private func reassemble(_ header: IPHeader, _ packet: RawSpan, on nic: NetworkInterface) {
        let evicted = nic.reassembler.counters.evicted
        defer { nic.statistics.drop(.fragmentNoRoom, count: nic.reassembler.counters.evicted - evicted) }
        switch nic.reassembler.add(header, packet: packet, now: eventLoop.now) {
        case .incomplete: break
        case .complete(let whole):
            var run: TCPSegmentRun?
            input(0..<whole.readableBytes, of: whole, on: nic, after: &run, reassembled: true)
            end(&run, of: whole, on: nic)
        case .dropped(.overlap): nic.statistics.drop(.fragmentOverlap)
        case .dropped(.noRoom): nic.statistics.drop(.fragmentNoRoom)
        case .dropped: nic.statistics.drop(.fragmentMalformed)
        }
    }

    /// Tells the senders of datagrams whose fragments did not come in time (RFC 1122 section 3.3.2).
    func expireFragments(of nic: NetworkInterface) {
        let expired = nic.reassembler.counters.expired
        defer { nic.statistics.drop(.fragmentTimeout, count: nic.reassembler.counters.expired - expired) }
        for first in nic.reassembler.expire(now: eventLoop.now) {
            let packet = first.readableBytesSpan
            if let header = try? IPHeader(parsing: packet) {
                answer(.reassemblyTimeExceeded, to: header, packet, on: nic)
            }
        }
    }

    /// Answers a packet with an ICMP error, where that is allowed, and not too often (RFC 1812 section 4.3.2.8, RFC 4443
    /// section 2.4).
    ///
    /// - Parameters:
    ///   - packet: as much of it as an error can quote, or more.
    ///   - reporter: who has found the error, if that is not this stack.
    func answer(
        _ error: ICMPError, to header: IPHeader, _ packet: RawSpan, on nic: NetworkInterface,
        from reporter: IPAddress? = nil
    ) {
        let payload = packet.extracting(header.payload.clamped(to: 0..<packet.byteCount))
        guard ICMPMessage.mayAnswerWithError(header, payload: payload) else { return }
        // From the address the packet was for when that is ours, else from the NIC's own.
        let own = nic.owns(header.destination) ? header.destination : nic.address(for: header.version)
        guard let source = reporter ?? own ?? (nic.spoofing ? header.destination : nil) else { return }
        guard nic.errors.allows(at: eventLoop.now, burst: 1000, every: .milliseconds(1)) else {
            return nic.statistics.drop(.errorLimit)
        }
        // An error is never fragmented: where it quotes no more than that, it fits.
        let most = min(nic.mtu, ICMPMessage.maximumErrorLength) - IPHeader.minimumLength(header.version) - 8
        let quote = ByteBuffer(copying: packet.extracting(0..<min(header.totalLength, most)))
        nic.send { try? ICMPMessage.error(error, quoting: quote).write(from: source, to: header.source, into: &$0) }
    }

    // MARK: TCP

    private func tcpInput(
        _ header: IPHeader, _ segment: RawSpan, at range: Range<Int>, _ packet: RawSpan, of batch: ByteBuffer,
        on nic: NetworkInterface, after run: inout TCPSegmentRun?
    ) {
        guard let tcp = try? TCPHeader(parsing: segment), tcp.sourcePort != 0, tcp.destinationPort != 0 else {
            return nic.statistics.drop(.malformed)
        }
        guard InternetChecksum.isValid(segment, protocol: .tcp, in: header) else {
            return nic.statistics.drop(.checksum)
        }
        if run?.add(header, tcp, at: range, of: batch.readableBytesSpan) == true { return }
        end(&run, of: batch, on: nic)
        if tcp.flags.contains(.syn), tcp.flags.isDisjoint(with: [.ack, .rst]) {
            let request = TCPForwardRequest(
                header: header, tcp: tcp, segment: segment, packet: packet, on: nic, stack: self)
            if !synInput(request) { return }
        }
        run = TCPSegmentRun(header, tcp, at: range)
    }

    /// Gives the segments that wait to TCP, with the connection they belong to.
    func end(_ run: inout TCPSegmentRun?, of batch: ByteBuffer, on nic: NetworkInterface) {
        if let run { engine.receive(run, of: batch, for: connections[run.connection(on: nic)], on: nic) }
        run = nil
    }

    /// Decides about a SYN. True when TCP is to see it: it has the connection, or shall refuse it.
    private func synInput(_ request: TCPForwardRequest) -> Bool {
        // While the destination is being dialled the SYN is sent again and again.
        if undecided[request.id] != nil {
            request.nic.statistics.drop(.duplicate)
            return false
        }
        if connections[request.id] != nil { return true }
        let listener = listeners.match(request.destination)
        let isExpected = listener != nil || request.nic.tcpHandler != nil
        let source = request.source.address
        let hasRoom =
            halfOpen.hasRoom(for: source) && passive.hasRoom(for: source)
            && openConnectionCount + undecided.count < limits.connections.total
        guard hasRoom || !isExpected else {
            request.nic.statistics.drop(.connectionLimit)
            return false
        }
        if engine.isInTimeWait(request.id), !engine.yieldTimeWait(to: request) { return true }
        guard isExpected else { return true }
        hold(request)
        afterTurn {
            if let listener { return listener.open(request) }
            // Meanwhile the handler may have gone.
            if let handler = request.nic.tcpHandler { handler(request) } else { request.refuse() }
        }
        return false
    }

    // MARK: UDP

    private func udpInput(_ header: IPHeader, _ payload: RawSpan, _ packet: RawSpan, on nic: NetworkInterface) {
        let udp: UDPHeader
        do {
            udp = try UDPHeader(parsing: payload, in: header)
        } catch {
            return nic.statistics.drop(DropReason(error))
        }
        guard udp.sourcePort != 0, udp.destinationPort != 0 else { return nic.statistics.drop(.malformed) }
        let destination = TransportAddress(header.destination, udp.destinationPort)
        let socket = sockets.match(destination)
        guard socket != nil || nic.udpHandler != nil else {
            nic.statistics.drop(.closedPort)
            return answer(.portUnreachable, to: header, packet, on: nic)
        }
        let datagram = UDPDatagram(
            source: TransportAddress(header.source, udp.sourcePort), destination: destination,
            payload: ByteBuffer(copying: payload.extracting(udp.payload)))
        if let socket {
            afterTurn { socket.add(datagram, on: nic) }
        } else {
            afterTurn { nic.udpHandler?(datagram, header) }
        }
    }

    // MARK: ICMP

    private func icmpInput(_ header: IPHeader, _ payload: RawSpan, _ packet: RawSpan, on nic: NetworkInterface) {
        let message: ICMPMessage
        do {
            message = try ICMPMessage(parsing: payload, in: header)
        } catch {
            return nic.statistics.drop(DropReason(error))
        }
        switch message {
        case .echoRequest(let echo):
            guard nic.owns(header.destination) else {
                guard let forward = nic.echoHandler else {
                    nic.statistics.drop(.closedPort)
                    return answer(.administrativelyProhibited, to: header, packet, on: nic)
                }
                return afterTurn { forward(echo, header) }
            }
            try? send(.echoReply(echo), from: header.destination, to: header.source, on: nic)
        case .echoReply(let echo):
            guard let completion = echoes.take(echo.identifier, echo.sequenceNumber, from: header.source) else {
                return nic.statistics.drop(.unsolicited)
            }
            afterTurn { completion(.success(())) }
        case .error(let error, let quote):
            guard let quotation = try? ICMPQuotation(parsing: quote.readableBytesSpan) else {
                return nic.statistics.drop(.malformed)
            }
            if !errorInput(error, quotation, on: nic) { nic.statistics.drop(.unsolicited) }
        case .other:
            nic.statistics.drop(.unsolicited)
        }
    }

    /// Sends an ICMP message, in fragments where it is too long.
    package func send(
        _ message: ICMPMessage, from source: IPAddress, to destination: IPAddress, on nic: NetworkInterface
    )
        throws(NetstackError)
    {
        var packet = ByteBuffer()
        try message.write(from: source, to: destination, into: &packet)
        nic.sendFragmenting(packet)
    }

    /// Errors are believed only about what this stack has sent. Of TCP, that is a SYN whose answer is awaited (RFC 5927
    /// section 4.1): once open, a connection takes such errors for hints and goes on (RFC 1122 section 4.2.3.9). Returns
    /// whether anything came of it.
    private func errorInput(_ error: ICMPError, _ quotation: ICMPQuotation, on nic: NetworkInterface) -> Bool {
        let peer = quotation.header.destination
        if case .packetTooBig(let mtu) = error { return pathTakes(mtu, quotation, on: nic) }
        if let echo = quotation.echo {
            guard let failure = NetstackError(error, at: TransportAddress(peer, 0)),
                let completion = echoes.take(echo.identifier, echo.sequenceNumber, from: peer)
            else { return false }
            afterTurn { completion(.failure(failure)) }
            return true
        }
        guard let ports = quotation.ports else { return false }
        let local = TransportAddress(quotation.header.source, ports.source)
        let remote = TransportAddress(peer, ports.destination)
        guard let failure = NetstackError(error, at: remote) else { return false }
        if let sequenceNumber = quotation.sequenceNumber {
            guard let block = connections[TCPControlBlock.ID(nic: nic.id, local: local, remote: remote)],
                block.isOpening,
                block.hasInFlight(sequenceNumber)
            else { return false }
            afterTurn { block.end(failure, tellPeer: false) }
        } else {
            guard let socket = sockets.match(local) else { return false }
            afterTurn { socket.fail(failure, for: remote) }
        }
        return true
    }

    /// Makes packets towards a destination shorter, if one that this stack has sent has been found too long for its path.
    private func pathTakes(_ mtu: Int, _ quotation: ICMPQuotation, on nic: NetworkInterface) -> Bool {
        let header = quotation.header
        guard let ports = quotation.ports, nic.owns(header.source) || nic.spoofing else { return false }
        let local = TransportAddress(header.source, ports.source)
        var block: TCPControlBlock?
        if let sequenceNumber = quotation.sequenceNumber {
            let remote = TransportAddress(header.destination, ports.destination)
            block = connections[TCPControlBlock.ID(nic: nic.id, local: local, remote: remote)]
            guard block?.hasInFlight(sequenceNumber) == true else { return false }
        } else {
            guard sockets.match(local) != nil else { return false }
        }
        // An old router tells no MTU (RFC 1191 section 5): what has not fitted was the packet.
        let told = mtu > 0 ? mtu : header.totalLength - 1
        let current = nic.mtu(to: header.destination)
        let shorter = nic.pathMTUs.record(told, to: header.destination, below: current, now: eventLoop.now)
        // What is known by others of the same destination need not be known to this connection.
        guard let mtu = shorter ?? (block != nil && told <= current ? current : nil) else { return false }
        afterTurn { block?.pathTakes(mtu) }
        return true
    }
}

extension NetstackError {
    /// What an ICMP error means to whoever sent to `address`; nil for those that don't say that it can't be reached.
    init?(_ error: ICMPError, at address: TransportAddress) {
        switch error {
        case .administrativelyProhibited: self = .prohibited(address)
        case .networkUnreachable: self = .unreachable(address, .network)
        case .hostUnreachable: self = .unreachable(address, .host)
        case .protocolUnreachable: self = .unreachable(address, .protocol)
        case .portUnreachable: self = .unreachable(address, .port)
        case .hopLimitExceeded: self = .unreachable(address, .hopLimit)
        case .packetTooBig, .reassemblyTimeExceeded, .other: return nil
        }
    }
}

extension DropReason {
    init(_ fault: PacketFault) { self = fault == .checksum ? .checksum : .malformed }
}

extension ByteBuffer {
    init(copying span: RawSpan) {
        self = span.withUnsafeBytes { ByteBuffer(bytes: $0) }
    }
}
