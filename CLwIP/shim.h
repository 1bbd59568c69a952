// lwIP's raw API for Swift: the library's headers, and inline shims for what the importer can't see
// (function-like macros, mutable globals, unions). Everything here runs under whatever excludes other
// users of the library: lwIP itself is one global, single-threaded state.

#ifndef CLWIP_SHIM_H
#define CLWIP_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/memp.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>
#include <lwip/priv/memp_priv.h>
#include <lwip/priv/tcp_priv.h>

/// The size of a struct as the library was compiled, from its table of pools.
static inline size_t clwip_library_size(memp_t pool) { return memp_pools[pool]->size; }

// MARK: - Addresses

/// An IPv4 address from its 32 bits in host byte order.
static inline ip_addr_t clwip_ip4(uint32_t host_order) {
    ip_addr_t address;
    memset(&address, 0, sizeof address);
    IP_SET_TYPE_VAL(address, IPADDR_TYPE_V4);
    ip_2_ip4(&address)->addr = lwip_htonl(host_order);
    return address;
}

/// An IPv6 address from its two halves in host byte order, without a zone.
static inline ip_addr_t clwip_ip6(uint64_t high, uint64_t low) {
    ip_addr_t address;
    memset(&address, 0, sizeof address);
    IP_SET_TYPE_VAL(address, IPADDR_TYPE_V6);
    ip_2_ip6(&address)->addr[0] = lwip_htonl((uint32_t)(high >> 32));
    ip_2_ip6(&address)->addr[1] = lwip_htonl((uint32_t)high);
    ip_2_ip6(&address)->addr[2] = lwip_htonl((uint32_t)(low >> 32));
    ip_2_ip6(&address)->addr[3] = lwip_htonl((uint32_t)low);
    return address;
}

static inline int clwip_is_ip6(const ip_addr_t *address) { return IP_IS_V6_VAL(*address); }

static inline uint32_t clwip_ip4_bits(const ip_addr_t *address) { return lwip_ntohl(ip_2_ip4(address)->addr); }

static inline uint64_t clwip_ip6_bits(const ip_addr_t *address, int half) {
    const u32_t *words = ip_2_ip6(address)->addr + (half ? 2 : 0);
    return (uint64_t)lwip_ntohl(words[0]) << 32 | lwip_ntohl(words[1]);
}

/// Gives a link-local IPv6 address the zone of the interface it is used on, as the library expects.
static inline void clwip_set_zone(ip_addr_t *address, const struct netif *netif) {
    if (IP_IS_V6_VAL(*address) && ip6_addr_lacks_zone(ip_2_ip6(address), IP6_UNKNOWN))
        ip6_addr_assign_zone(ip_2_ip6(address), IP6_UNKNOWN, netif);
}

// MARK: - One stack among several

/// The global heads of the library that make up one stack. Exchanging them for another set is what lets
/// several stacks live in one process: every list walk of the library begins at one of these.
struct clwip_instance {
    struct tcp_pcb *active, *bound, *listening, *time_wait;
    struct udp_pcb *udp;
    struct netif *netifs, *default_netif;
    u32_t ticks;
};

/// Saves the library's heads into `out` (may be NULL) and puts those of `in` in their place.
static inline void clwip_exchange(struct clwip_instance *out, const struct clwip_instance *in) {
    if (out) {
        out->active = tcp_active_pcbs;
        out->bound = tcp_bound_pcbs;
        out->listening = tcp_listen_pcbs.pcbs;
        out->time_wait = tcp_tw_pcbs;
        out->udp = udp_pcbs;
        out->netifs = netif_list;
        out->default_netif = netif_default;
        out->ticks = tcp_ticks;
    }
    tcp_active_pcbs = in->active;
    tcp_bound_pcbs = in->bound;
    tcp_listen_pcbs.pcbs = in->listening;
    tcp_tw_pcbs = in->time_wait;
    udp_pcbs = in->udp;
    netif_list = in->netifs;
    netif_default = in->default_netif;
    tcp_ticks = in->ticks;
}

static inline struct tcp_pcb *clwip_active_pcbs(void) { return tcp_active_pcbs; }
static inline struct tcp_pcb *clwip_time_wait_pcbs(void) { return tcp_tw_pcbs; }
static inline void clwip_set_default_netif(struct netif *netif) { netif_default = netif; }

// MARK: - TCP

static inline u32_t clwip_tcp_sndbuf(const struct tcp_pcb *pcb) { return tcp_sndbuf(pcb); }
static inline void clwip_tcp_nagle_disable(struct tcp_pcb *pcb) { tcp_nagle_disable(pcb); }
static inline struct tcp_pcb *clwip_tcp_listen(struct tcp_pcb *pcb) { return tcp_listen(pcb); }
static inline void clwip_tcp_keepalive_enable(struct tcp_pcb *pcb) { ip_set_option(pcb, SOF_KEEPALIVE); }
static inline int clwip_tcp_has_unsent(const struct tcp_pcb *pcb) { return pcb->unsent != NULL; }

/// Hands a segment to TCP as the IP layer would: `p->payload` is the TCP header, the addresses those of
/// the packet that carried it. The library reads its addresses from `ip_data` (see ip4_input).
static inline void clwip_tcp_input(struct pbuf *p, struct netif *netif, const ip_addr_t *source,
                                   const ip_addr_t *destination) {
    ip_data.current_netif = netif;
    ip_data.current_input_netif = netif;
    ip_data.current_ip_header_tot_len = 0;
    ip_data.current_iphdr_src = *source;
    ip_data.current_iphdr_dest = *destination;
    tcp_input(p, netif);
    ip_data.current_netif = NULL;
    ip_data.current_input_netif = NULL;
}

/// Whether a packet that the library puts out is a TCP segment with data: no options in its IP header, and the
/// TCP header in its first buffer.
static inline int clwip_carries_tcp_data(const struct pbuf *packet) {
    const uint8_t *bytes = (const uint8_t *)packet->payload;
    size_t header = (bytes[0] >> 4) == 6 ? 40 : 20;
    if (packet->len < header + 20 || bytes[header == 40 ? 6 : 9] != IP_PROTO_TCP) return 0;
    return packet->tot_len > header + (size_t)(bytes[header + 12] >> 4) * 4;
}

/// The connection of these four on the interface `index` in `list`, or NULL.
static inline struct tcp_pcb *clwip_tcp_find(struct tcp_pcb *list, u8_t index, const ip_addr_t *local, u16_t local_port,
                                             const ip_addr_t *remote, u16_t remote_port) {
    for (; list; list = list->next)
        if (list->local_port == local_port && list->remote_port == remote_port && list->netif_idx == index &&
            ip_addr_cmp(&list->local_ip, local) && ip_addr_cmp(&list->remote_ip, remote))
            return list;
    return NULL;
}

/// Whether a segment for `pcb` may be given to tcp_input. It queues what lies beyond the next byte untrimmed, aborts
/// later if that overran the window, and puts no limit on how many pieces it queues. A sender that honours the
/// window sends nothing that is refused here.
static inline int clwip_tcp_may_receive(const struct tcp_pcb *pcb, u32_t sequence, u32_t length) {
    enum { most_out_of_order = 256 };
    int queued = 0;
    if (pcb->state == SYN_SENT || length == 0 || TCP_SEQ_LEQ(sequence, pcb->rcv_nxt)) return 1;
    if (TCP_SEQ_GT(sequence + length, pcb->rcv_nxt + pcb->rcv_wnd)) return 0;
    for (const struct tcp_seg *segment = pcb->ooseq; segment; segment = segment->next) queued++;
    return queued < most_out_of_order;
}

/// Stops persist timers that a peer has brought out of step, which tcp_slowtmr would abort on: the timer is for data
/// that waits for a window while none is in flight.
static inline void clwip_tcp_settle_persist(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->persist_backoff && (!pcb->unsent || pcb->unacked)) pcb->persist_backoff = 0;
}

/// Lets tcp_write make whole segments whatever windows the peer has announced so far: it asserts that what it finds
/// unsent is no longer than what it would make now.
static inline void clwip_tcp_settle_segment_size(struct tcp_pcb *pcb) {
    if (pcb->snd_wnd_max < 2 * (tcpwnd_size_t)pcb->mss) pcb->snd_wnd_max = 2 * (tcpwnd_size_t)pcb->mss;
}

/// Forgets a connection in TIME-WAIT, which must be in the list of the current instance.
static inline void clwip_time_wait_remove(struct tcp_pcb *pcb) {
    tcp_pcb_remove(&tcp_tw_pcbs, pcb);
    tcp_free(pcb);
}

/// Whether `sequence` lies in what an opening or open connection has sent and the peer has not acknowledged
/// (RFC 5927, section 4.1).
static inline int clwip_tcp_in_flight(const struct tcp_pcb *pcb, u32_t sequence) {
    return TCP_SEQ_GEQ(sequence, pcb->lastack) && TCP_SEQ_LEQ(sequence, pcb->snd_nxt);
}

#endif
