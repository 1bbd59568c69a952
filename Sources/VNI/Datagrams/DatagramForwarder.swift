// Forwards what has no connection, UDP and echo requests, through sockets of this host, and brings back what comes.

import NIOCore
import Netstack

/// A datagram, or an echo request, on its way out of an exit.
struct ExitDatagram {
    /// For an echo request: the identifier, and 0.
    var source: TransportAddress
    var destination: TransportAddress
    /// For an echo request: the whole ICMP message.
    var payload: ByteBuffer
    /// What is left of it behind this exit, which is a router to whoever sends.
    var hopLimit: UInt8
    var dontFragment: Bool

    init(_ source: TransportAddress, _ destination: TransportAddress, _ payload: ByteBuffer, _ header: IPHeader) {
        self.source = source
        self.destination = destination
        self.payload = payload
        hopLimit = max(header.hopLimit, 2) - 1
        dontFragment = header.dontFragment
    }
}

/// All mappings of one kind on a NIC, on the event loop.
final class DatagramForwarder {
    struct Key: Hashable {
        var source: TransportAddress
        /// Nil where a mapping is for all destinations (RFC 4787 section 4.1).
        var destination: TransportAddress?
    }

    let exit: ExitCore
    let kind: HostSocket.Kind
    private let isEndpointIndependent: Bool
    let quota: ReferenceWritableKeyPath<ExitCore, FlowQuota>
    private var mappings: [Key: DatagramMapping] = [:]

    init(_ exit: ExitCore, _ kind: HostSocket.Kind, endpointIndependent: Bool = false) {
        self.exit = exit
        self.kind = kind
        isEndpointIndependent = endpointIndependent
        quota = kind == .udp ? \.udpFlows : \.echoFlows
    }

    func receive(_ datagram: ExitDatagram) {
        let key = Key(source: datagram.source, destination: isEndpointIndependent ? nil : datagram.destination)
        if let flow = mappings[key]?.flow(to: datagram.destination) { return flow.send(datagram) }
        let transport: ExitDial.Transport = kind == .udp ? .udp : .icmp
        guard let dial = exit.admit(transport, from: datagram.source, to: datagram.destination) else {
            return reject(datagram, .administrativelyProhibited)
        }
        guard exit.take(quota, for: datagram.source.address) else {
            exit.counters.flowsProhibited += 1
            return reject(datagram, .administrativelyProhibited)
        }
        let mapping = mappings[key] ?? DatagramMapping(self, key, idleTimeout: idleTimeout(datagram.destination))
        mappings[key] = mapping
        mapping.open(dial, datagram)
    }

    private func idleTimeout(_ destination: TransportAddress) -> TimeAmount {
        let limits = exit.limits
        if kind == .echo { return TimeAmount(limits.echoIdleTimeout) }
        let isDNS = destination.port == 53 && !isEndpointIndependent
        return TimeAmount(isDNS ? limits.dnsIdleTimeout : limits.udpIdleTimeout)
    }

    func closed(_ flow: DatagramFlow) {
        exit[keyPath: quota].remove(flow.dial.source.address)
        exit.closed(flow)
    }

    func closed(_ mapping: DatagramMapping) { mappings[mapping.key] = nil }

    func closeAll() {
        for mapping in mappings.values { mapping.close() }
    }

    // MARK: Towards the dialler

    func reply(_ payload: ByteBuffer, from source: TransportAddress, to destination: TransportAddress) {
        switch kind {
        case .udp:
            try? exit.stack.send(UDPDatagram(source: source, destination: destination, payload: payload), on: exit.nic)
        case .echo:
            guard var echo = ICMPEcho(message: payload) else { return }
            echo.identifier = destination.port
            try? exit.stack.turn { () throws(NetstackError) in
                try exit.stack.send(.echoReply(echo), from: source.address, to: destination.address, on: exit.nic)
            }
        }
    }

    /// - Parameter reporter: who has found the error, if that is not this exit.
    func reject(_ datagram: ExitDatagram, _ error: ICMPError, from reporter: IPAddress? = nil) {
        let (source, destination) = (datagram.source, datagram.destination)
        switch kind {
        case .udp:
            let original = UDPDatagram(source: source, destination: destination, payload: datagram.payload)
            exit.stack.reject(original, error, on: exit.nic, from: reporter)
        case .echo:
            guard var echo = ICMPEcho(message: datagram.payload) else { return }
            echo.identifier = source.port
            exit.stack.reject(
                echo, from: source.address, to: destination.address, error, on: exit.nic, from: reporter)
        }
    }
}

extension ExitCore {
    /// - Parameter endpointIndependent: whether a source keeps its port of the host towards all destinations.
    func forwardUDP(endpointIndependent: Bool) {
        let forwarder = DatagramForwarder(self, .udp, endpointIndependent: endpointIndependent)
        nic.udpHandler = { datagram, header in
            forwarder.receive(ExitDatagram(datagram.source, datagram.destination, datagram.payload, header))
        }
        afterwards { forwarder.closeAll() }
    }

    func forwardEchoes() {
        let forwarder = DatagramForwarder(self, .echo)
        nic.echoHandler = { echo, header in
            let source = TransportAddress(header.source, echo.identifier)
            let destination = TransportAddress(header.destination, 0)
            forwarder.receive(ExitDatagram(source, destination, echo.message(header.version), header))
        }
        afterwards { forwarder.closeAll() }
    }

    /// Does something when the NIC is removed.
    private func afterwards(_ work: @escaping () -> Void) {
        let before = nic.stopped
        nic.stopped = {
            before?()
            work()
        }
    }
}

extension ICMPEcho {
    /// Reads an echo request or reply as an echo socket has it: its kernel has checked it.
    init?(message: ByteBuffer) {
        guard let identifier = message.getInteger(at: message.readerIndex + 4, as: UInt16.self),
            let sequenceNumber = message.getInteger(at: message.readerIndex + 6, as: UInt16.self),
            let payload = message.getSlice(at: message.readerIndex + 8, length: message.readableBytes - 8)
        else { return nil }
        self.init(identifier: identifier, sequenceNumber: sequenceNumber, payload: payload)
    }

    /// The echo request as an echo socket takes it: its kernel fills in the checksum and an identifier of its own.
    func message(_ version: IPVersion) -> ByteBuffer {
        var message = ByteBuffer()
        message.writeMultipleIntegers(
            ICMPEcho.requestType(version), UInt8(0), UInt16(0), identifier, sequenceNumber)
        message.writeImmutableBuffer(payload)
        return message
    }
}
