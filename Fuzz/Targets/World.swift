// A whole stack, as an exit has it, with eight connections that a script drives from both ends and through time.

import Glibc
import NIOCore
import Netstack

extension FuzzTarget {
    func checkInterface(_ script: inout Script, on tcp: TCPImplementation) throws(Finding) {
        let loop = SteppedLoop()
        weak var core: StackCore?
        do {
            let world = try World(&script, on: tcp, loop)
            core = world.stack.core
            try world.play(&script)
            try world.end()
        } catch let finding as Finding {
            throw finding
        } catch {
            throw Finding(description: "a stack can be made: \(error)")
        }
        loop.run()
        try Finding.require(loop.isIdle, "no timer stays")
        try Finding.require(core == nil, "nothing holds on to the stack")
    }
}

final class World {
    let stack: Stack
    private let loop: SteppedLoop
    private let wire = Wire()
    let version: IPVersion
    private let mtu: Int
    let own: IPAddress
    let peer: IPAddress
    var flows: [Flow] = []
    private var listener: TCPListener?
    private var socket: UDPSocket?
    /// Packets that are to arrive together.
    var batch = PacketBatch()
    private var fragmenter = Fragmenter()
    /// How the next packet is to be fragmented.
    private var fragmentation: Fragmentation?
    private var finding: Finding?
    /// How long a script may make the stack's timers run.
    private var timeLeft = TimeAmount.seconds(300)
    /// For whoever looks at what an input does.
    private let traces = getenv("FUZZ_TRACE") != nil

    private struct Fragmentation {
        var mtu: Int
        var order: UInt8
    }

    init(_ script: inout Script, on tcp: TCPImplementation, _ loop: SteppedLoop) throws {
        self.loop = loop
        let settings = script.byte()
        version = settings & 1 == 0 ? .v4 : .v6
        own = version == .v4 ? .v4(IPv4Address(10, 0, 0, 1)) : .v6(IPv6Address(rawValue: 0xfd << 120 | 1))
        peer = version == .v4 ? .v4(IPv4Address(10, 0, 0, 2)) : .v6(IPv6Address(rawValue: 0xfd << 120 | 2))
        var limits = Stack.Limits()
        limits.connections = 12
        limits.halfOpenConnections = 6
        limits.closedConnections = 4
        limits.windowBytes = 1 << 20
        limits.socketReceiveBytes = 4096
        limits.reassemblyBytes = Bound(total: 1 << 16, perSource: 1 << 16)
        let stack = try Stack(tcp, limits: limits, on: loop)
        self.stack = stack
        mtu = [1500, 576, 9000, 65535][Int(settings >> 1 & 3)]
        (listener, socket) = try stack.assumeIsolated { [own, wire, mtu] stack in
            try stack.createNIC(1, link: wire, addresses: [own], mtu: mtu, promiscuous: true, spoofing: true)
            try stack.addRoute(to: .everyIPv4, via: 1)
            try stack.addRoute(to: .everyIPv6, via: 1)
            return (try stack.listen(port: 82, backlog: 2), try stack.openUDP(port: 53))
        }
        flows = Habit.allCases.map { habit in
            let (near, far) = (UInt16(80 + habit.rawValue), UInt16(4000 + habit.rawValue))
            // An address that is not the stack's own, but where there is a listener, or the stack dials.
            let address = habit == .listens || habit == .dials ? own : elsewhere
            return Flow(habit, peer: TransportAddress(peer, far), stack: TransportAddress(address, near))
        }
        let nic = try stack.core.nic(1)
        nic.tcpHandler = { [unowned self] in decide($0) }
        nic.udpHandler = { [unowned self, unowned nic] datagram, _ in answer(datagram, on: nic) }
        nic.echoHandler = { [unowned stack = stack.core, unowned nic] echo, header in
            stack.reject(echo, from: header.source, to: header.destination, .hostUnreachable, on: nic)
        }
        wire.sent = { [unowned self] in hear($0) }
    }

    var elsewhere: IPAddress {
        version == .v4 ? .v4(IPv4Address(192, 0, 2, 7)) : .v6(IPv6Address(rawValue: 0xfd << 120 | 7))
    }

    private func require(_ isKept: Bool, _ promise: @autoclosure () -> String) {
        if !isKept, finding == nil { finding = Finding(description: promise()) }
    }

    /// Everything ends with the stack.
    func end() throws(Finding) {
        flush()
        stack.assumeIsolated { $0.shutdown() }
        loop.run()
        require(stack.assumeIsolated { $0.connectionCount } == 0, "no connection stays")
        try throwFindings()
        weak let block = flows.lazy.compactMap(\.block).first
        flows = []
        listener = nil
        socket = nil
        loop.run()
        try Finding.require(block == nil, "nothing holds on to a connection")
    }

    private func trace(_ direction: String, _ packet: ByteBuffer) {
        guard traces else { return }
        let header = try? IPHeader(parsing: packet.readableBytesSpan)
        let tcp = header.flatMap { try? TCPHeader(parsing: packet.readableBytesSpan.extracting($0.payload)) }
        guard let tcp, header?.upperLayerProtocol == .tcp, header?.fragment == nil else {
            return trace(
                "\(direction) \(header.map { "\($0.upperLayerProtocol)" } ?? "malformed"), \(packet.readableBytes)")
        }
        let flags = String(tcp.flags.rawValue, radix: 2)
        trace(
            """
            \(direction) \(tcp.sourcePort) \(tcp.destinationPort) flags \(flags) sequence \(tcp.sequenceNumber) \
            length \(tcp.segmentLength) acknowledges \(tcp.acknowledgmentNumber) window \(tcp.window)
            """)
    }

    /// Unbuffered: the next thing may be the end of the process.
    private func trace(_ text: String) {
        var line = text + "\n"
        line.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    private func throwFindings() throws(Finding) {
        if let finding = finding ?? flows.lazy.compactMap(\.finding).first { throw finding }
    }

    // MARK: The stack's user

    private func decide(_ request: TCPForwardRequest) {
        let flow = flows.first { $0.stack == request.destination && $0.peer == request.source }
        switch flow?.habit {
        case .reads, .waits, nil: accept(request, flow)
        case .holds, .listens, .dials: flow?.request = request
        case .refuses: request.refuse()
        case .rejects: request.reject(.administrativelyProhibited)
        case .drops: request.drop()
        }
    }

    private func accept(_ request: TCPForwardRequest, _ flow: Flow?) {
        request.accept { [weak flow] in flow?.opened($0) }
    }

    private func answer(_ datagram: UDPDatagram, on nic: NetworkInterface) {
        if datagram.destination.port & 1 == 0 { return stack.core.reject(datagram, .portUnreachable, on: nic) }
        let reply = UDPDatagram(source: datagram.destination, destination: datagram.source, payload: datagram.payload)
        try? stack.core.send(reply, on: nic)
    }

    private func hear(_ packet: ByteBuffer) {
        trace("<", packet)
        guard let header = try? IPHeader(parsing: packet.readableBytesSpan), header.totalLength == packet.readableBytes
        else { return require(false, "what the stack sends can be read") }
        require(packet.readableBytes <= mtu, "what the stack sends fits the link")
        guard header.upperLayerProtocol == .tcp, header.fragment == nil else { return }
        do throws(Finding) {
            let (ip, tcp, data) = try packet.checkedSegment()
            let local = TransportAddress(ip.source, tcp.sourcePort)
            let remote = TransportAddress(ip.destination, tcp.destinationPort)
            flows.first { $0.stack == local && $0.peer == remote }?.heard(tcp, data, in: packet)
        } catch {
            finding = finding ?? error
        }
    }

    // MARK: The script

    func play(_ script: inout Script) throws(Finding) {
        while !script.isAtEnd {
            step(&script)
            try throwFindings()
        }
    }

    private func step(_ script: inout Script) {
        let operation = script.byte()
        if traces { trace("operation \(operation & 0x1f)\(operation & 0x80 == 0 ? "" : ", joined")") }
        // The high bit: what follows arrives in the same batch.
        let isJoined = operation & 0x80 != 0
        switch operation & 0x1f {
        case 0...7: send(segment(of: flows[Int(script.byte() & 7)], &script))
        case 8: open(flows[Int(script.byte() & 7)])
        case 9: acknowledge(flows[Int(script.byte() & 7)], window: script.word())
        case 10: wait(script.byte())
        case 11: flows[Int(script.byte() & 7)].read(upTo: Int(script.word()) + 1)
        case 12: flows[Int(script.byte() & 7)].write(Int(script.word()))
        case 13: act(script.byte())
        case 14: dial()
        case 15: answerHeld(script.byte())
        case 16: send(datagram(&script))
        case 17: fragmentation = Fragmentation(mtu: 68 + Int(script.byte()) * 8, order: script.byte())
        case 18: send(icmpError(&script))
        case 19: send(raw(&script))
        case 20: wire.setFull(script.byte() & 1 == 1)
        case 21: flows[Int(script.byte() & 7)].restart(at: UInt32(script.word()) << 16 | UInt32(script.word()))
        case 22: flood(script.byte())
        case 23: send(echo(&script))
        case 24: if script.byte() == 0xff { wire.end() }
        default: break
        }
        if !isJoined { flush() }
    }

    func send(_ packet: ByteBuffer?) {
        guard let packet, packet.readableBytes > 0 else { return }
        guard let fragmentation, let header = try? IPHeader(parsing: packet.readableBytesSpan), header.fragment == nil
        else { return batch.append(packet) }
        self.fragmentation = nil
        var fragments = PacketBatch()
        fragmenter.append(packet, header, mtu: fragmentation.mtu, to: &fragments)
        switch fragmentation.order & 3 {
        case 0: fragments.forEach { batch.append($0) }
        case 1: fragments.reversed().forEach { batch.append($0) }
        case 2: for fragment in fragments { for _ in 0..<2 { batch.append(fragment) } }
        default: fragments.dropLast().forEach { batch.append($0) }
        }
    }

    func flush() {
        let packets = batch
        batch = PacketBatch()
        for packet in packets { trace(">", packet) }
        if !packets.isEmpty { wire.deliver(packets) }
        loop.run()
    }

    private func wait(_ choice: UInt8) {
        flush()
        let times: [TimeAmount] = [
            .milliseconds(1), .milliseconds(50), .milliseconds(250), .seconds(1), .seconds(3), .seconds(10),
            .seconds(31), .seconds(125),
        ]
        pass(times[Int(choice & 7)])
    }

    /// Lets time go by, as long as there is some left.
    func pass(_ time: TimeAmount) {
        let time = min(time, timeLeft)
        timeLeft = timeLeft - time
        loop.advance(by: time)
    }

    private func act(_ choice: UInt8) {
        flush()
        let flow = flows[Int(choice & 7)]
        switch choice >> 3 & 3 {
        case 0: flow.block?.closeWrite()
        case 1: flow.block?.close()
        case 2: flow.block?.reset()
        default: flow.letGo()
        }
    }

    func dial() {
        flush()
        guard let flow = flows.first(where: { $0.habit == .dials }), flow.block?.failure != nil || flow.block == nil
        else { return }
        _ = try? stack.core.connect(to: flow.peer, from: flow.stack) { [weak flow] in flow?.opened($0) }
    }

    func answerHeld(_ choice: UInt8) {
        flush()
        guard let flow = flows.first(where: { $0.request != nil }), let request = flow.request else { return }
        flow.request = nil
        switch choice & 3 {
        case 0, 1: accept(request, flow)
        case 2: request.refuse()
        default: request.reject(.hostUnreachable)
        }
    }
}
