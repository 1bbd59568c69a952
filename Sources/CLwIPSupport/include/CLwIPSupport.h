// What must be compiled C: definitions that take the place of the library's own at load time, and what the hot path does
// with raw bytes.

#ifndef CLWIP_SUPPORT_H
#define CLWIP_SUPPORT_H

#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <stdint.h>

/// Whether calls made inside the library reach our `netif_loop_output` (they do unless it was linked
/// `-Bsymbolic`). Calling it also keeps the object that defines it in the program.
int clwip_support_loop_output_replaced(void);

/// The same for our `tcp_next_iss`.
int clwip_support_iss_replaced(void);

/// The same for our `ip_chksum_pseudo`.
int clwip_support_checksum_replaced(void);

/// How a segment of the library becomes packets: `count` headers of `header` bytes, and `data` bytes among them. Its
/// control bits are `flags`.
struct clwip_packet_shape {
    uint16_t header, data, count;
    uint8_t flags;
};

/// The shape of a whole TCP packet whose headers lie in its first buffer.
struct clwip_packet_shape clwip_support_shape(const struct pbuf *packet, uint16_t mss);

/// Writes the packets, `count * header + data` bytes, each but the last with `mss` bytes of data. In a SYN, the MSS and
/// the window scale are set to ours.
void clwip_support_write_packets(const struct pbuf *packet, struct clwip_packet_shape shape, uint16_t mss,
                                 uint16_t own_mss, uint8_t own_scale, uint8_t *out);

/// Queues `count` bytes as one segment, which may be longer than the connection's MSS: whoever puts it on the link cuts it.
/// They are not copied: once the library needs them no more it calls `release`, once and only if this returns ERR_OK.
err_t clwip_support_write_shared(struct tcp_pcb *pcb, const void *bytes, uint16_t count, void *owner,
                                 void (*release)(void *owner));

/// The owner of the bytes in a buffer that `clwip_support_write_shared` has made; NULL for any other.
void *clwip_support_shared_owner(const struct pbuf *buffer);

#endif
