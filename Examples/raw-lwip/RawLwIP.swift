// lwIP's raw API, without anything of ours above it: one netif that shows what it is asked to send.

import CLwIP
import Glibc

@main
enum RawLwIP {
    static func main() {
        lwip_init()
        let netif = UnsafeMutablePointer<netif>.allocate(capacity: 1)
        netif.initialize(to: CLwIP.netif())
        var address = clwip_ip4(0x0a00_0001)
        var mask = clwip_ip4(0xff00_0000)
        var gateway = clwip_ip4(0)
        netif_add(
            netif, &address.u_addr.ip4, &mask.u_addr.ip4, &gateway.u_addr.ip4, nil,
            { netif in
                netif?.pointee.mtu = 1500
                netif?.pointee.output = { _, packet, _ in
                    guard let packet else { return err_t(ERR_ARG.rawValue) }
                    let bytes = UnsafeRawBufferPointer(start: packet.pointee.payload, count: Int(packet.pointee.len))
                    print("a packet of \(packet.pointee.tot_len) bytes:", bytes.map { hex($0) }.joined(separator: " "))
                    return err_t(ERR_OK.rawValue)
                }
                return err_t(ERR_OK.rawValue)
            },
            { packet, _ in
                pbuf_free(packet)
                return err_t(ERR_OK.rawValue)
            })
        netif_set_default(netif)
        netif_set_link_up(netif)
        netif_set_up(netif)

        // The first packet of a connection: a SYN, whose options offer an MSS and a window scale.
        let pcb = tcp_new()
        var peer = clwip_ip4(0x0a00_0002)
        let result = tcp_connect(pcb, &peer, 80) { _, _, _ in err_t(ERR_OK.rawValue) }
        print("tcp_connect returned \(result)")
        tcp_abort(pcb)
        netif_remove(netif)
        netif.deallocate()
    }
}

private func hex(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
}
