// A NIC as lwIP knows it: a netif, and the way of its segments to packets.

import CLwIP
import CLwIPSupport
import NIOCore
import NetstackCore

/// The netif of a NIC.
final class LwIPInterface {
    /// Its address is a placeholder from 0/8, which no packet may carry: so no packet is ever "for the interface itself", a
    /// case that aborts the process (ip4_output_if, netif_loop_output).
    let netif: UnsafeMutablePointer<netif>
    unowned let nic: NetworkInterface
    private unowned(unsafe) let engine: LwIPEngine

    /// Puts the NIC into lwIP's list. Called inside the library, as is `remove`, which must follow before the NIC goes.
    init(_ nic: NetworkInterface, engine: LwIPEngine) {
        self.nic = nic
        self.engine = engine
        netif = .allocate(capacity: 1)
        netif.initialize(to: CLwIP.netif())
        var placeholder = clwip_ip4(1)
        var mask = clwip_ip4(UInt32.max)
        var none = clwip_ip4(0)
        // The state pointer stays good: the engine holds this object until it is removed.
        netif_add(
            netif, &placeholder.u_addr.ip4, &mask.u_addr.ip4, &none.u_addr.ip4,
            Unmanaged.passUnretained(self).toOpaque(),
            { netif in
                netif?.pointee.output = { netif, packet, _ in LwIPInterface.output(netif, packet) }
                netif?.pointee.output_ip6 = { netif, packet, _ in LwIPInterface.output(netif, packet) }
                return err_t(ERR_OK.rawValue)
            },
            { packet, _ in
                pbuf_free(packet)
                return err_t(ERR_OK.rawValue)
            })
        // lwIP's segments are cut to the NIC's own MTU when they leave.
        netif.pointee.mtu = UInt16.max
        netif.pointee.mtu6 = UInt16.max
        netif_set_link_up(netif)
        netif_set_up(netif)
    }

    func remove() { netif_remove(netif) }

    deinit { netif.deallocate() }

    /// lwIP's number of the NIC, from 1.
    var index: UInt8 { netif.pointee.num &+ 1 }

    /// An address as lwIP writes it.
    func address(_ address: IPAddress) -> ip_addr_t {
        switch address {
        case .v4(let address):
            return clwip_ip4(address.rawValue)
        case .v6(let address):
            let (high, low) = (address.rawValue >> 64, address.rawValue)
            var result = clwip_ip6(UInt64(truncatingIfNeeded: high), UInt64(truncatingIfNeeded: low))
            clwip_set_zone(&result, netif)
            return result
        }
    }

    /// lwIP's output callback, for both versions: `packet` is a whole IP packet.
    private static func output(_ netif: UnsafeMutablePointer<netif>?, _ packet: UnsafeMutablePointer<pbuf>?) -> err_t {
        guard let state = netif?.pointee.state, let packet else { return err_t(ERR_ARG.rawValue) }
        return Unmanaged<LwIPInterface>.fromOpaque(state)._withUnsafeGuaranteedRef { $0.send(packet) }
    }

    /// What is refused stays in lwIP's queue.
    private func send(_ packet: UnsafeMutablePointer<pbuf>) -> err_t {
        let nic = nic
        let connection = engine.current
        let version = packet.pointee.payload.load(as: UInt8.self) >> 4 == 6 ? IPVersion.v6 : .v4
        let own = nic.maximumSegmentSize(version)
        let length = connection?.maximumSegmentSize ?? own
        let shape = clwip_support_shape(packet, length)
        let (count, header, data) = (Int(shape.count), Int(shape.header), Int(shape.data))
        guard nic.admits(dataCount: data) else {
            if let block = connection?.block { nic.enqueue(block) }
            return err_t(ERR_WOULDBLOCK.rawValue)
        }
        func write(_ shape: clwip_packet_shape, to bytes: UnsafeMutableRawBufferPointer) {
            clwip_support_write_packets(
                packet, shape, length, own, LwIPEngine.windowScale,
                bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        let flags = TCPHeader.Flags(rawValue: shape.flags)
        if flags.isSubset(of: [.ack, .psh]), nic.offloads(dataCount: data) {
            var bytes = ByteBuffer()
            bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: header) {
                write(clwip_packet_shape(header: shape.header, data: 0, count: 1, flags: shape.flags), to: $0)
                return header
            }
            let data = SharedBytes.bytes(of: packet, behind: header) ?? packet.bytes(from: header)
            nic.send(OffloadedSegment(header: bytes, data: data, count: count))
        } else {
            nic.send(count: count, length: header + Int(length), total: count * header + data) { write(shape, to: $0) }
        }
        return err_t(ERR_OK.rawValue)
    }
}
