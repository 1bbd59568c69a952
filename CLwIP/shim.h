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

/// Gives a link-local IPv6 address the zone of the interface it is used on, as the library expects.
static inline void clwip_set_zone(ip_addr_t *address, const struct netif *netif) {
    if (IP_IS_V6_VAL(*address) && ip6_addr_lacks_zone(ip_2_ip6(address), IP6_UNKNOWN))
        ip6_addr_assign_zone(ip_2_ip6(address), IP6_UNKNOWN, netif);
}

// MARK: - One stack among several

/// The global heads of the library that make up one stack. Exchanging them for another set is what lets several
/// stacks live in one process: every list walk of the library begins at one of these. Connections are not among
/// them: they are lent to the library one at a time (see `clwip_tcp_admit`).
struct clwip_instance {
    struct tcp_pcb *listening;
    struct netif *netifs, *default_netif;
    u32_t ticks;
};

/// Saves the library's heads into `out` (may be NULL) and puts those of `in` in their place.
static inline void clwip_exchange(struct clwip_instance *out, const struct clwip_instance *in) {
    if (out) {
        out->listening = tcp_listen_pcbs.pcbs;
        out->netifs = netif_list;
        out->default_netif = netif_default;
        out->ticks = tcp_ticks;
    }
    tcp_listen_pcbs.pcbs = in->listening;
    netif_list = in->netifs;
    netif_default = in->default_netif;
    tcp_ticks = in->ticks;
}

static inline void clwip_set_default_netif(struct netif *netif) { netif_default = netif; }

/// The clock of the library's TCP. It must not be 0, which stands for "no round trip is being timed".
static inline void clwip_set_ticks(u32_t ticks) { tcp_ticks = ticks; }

// MARK: - One connection at a time

/// Makes `pcb` the library's only connection: it finds a connection, and walks over all of them, in constant time.
static inline void clwip_tcp_admit(struct tcp_pcb *pcb) {
    pcb->next = NULL;
    if (pcb->state == TIME_WAIT)
        tcp_tw_pcbs = pcb;
    else
        tcp_active_pcbs = pcb;
}

/// Takes back what is in the library's lists: the connection admitted or newly made, or NULL when it has been freed.
static inline struct tcp_pcb *clwip_tcp_dismiss(void) {
    struct tcp_pcb *pcb = tcp_active_pcbs ? tcp_active_pcbs : tcp_tw_pcbs;
    tcp_active_pcbs = NULL;
    tcp_tw_pcbs = NULL;
    return pcb;
}

// MARK: - TCP

static inline void clwip_tcp_nagle_disable(struct tcp_pcb *pcb) { tcp_nagle_disable(pcb); }
static inline void clwip_tcp_nagle_enable(struct tcp_pcb *pcb) { tcp_nagle_enable(pcb); }
static inline int clwip_tcp_nagle_disabled(const struct tcp_pcb *pcb) { return tcp_nagle_disabled(pcb); }
static inline struct tcp_pcb *clwip_tcp_listen(struct tcp_pcb *pcb) { return tcp_listen(pcb); }
static inline void clwip_tcp_keepalive_enable(struct tcp_pcb *pcb) { ip_set_option(pcb, SOF_KEEPALIVE); }
static inline void clwip_tcp_keepalive_disable(struct tcp_pcb *pcb) { ip_reset_option(pcb, SOF_KEEPALIVE); }
static inline int clwip_tcp_keepalive_enabled(const struct tcp_pcb *pcb) { return ip_get_option(pcb, SOF_KEEPALIVE) != 0; }

/// Lets the first unsent segment into the congestion window, however small that has become: as long as the segment
/// does not fit, the library sends nothing.
static inline void clwip_tcp_settle_congestion_window(struct tcp_pcb *pcb) {
    if (pcb->unsent && !pcb->unacked && pcb->cwnd < pcb->unsent->len && pcb->state >= ESTABLISHED) {
        pcb->cwnd = pcb->unsent->len;
        tcp_output(pcb);
    }
}

/// Hands a segment to TCP as the IP layer would: `p->payload` is the TCP header, the addresses those of
/// the packet that carried it. The library reads its addresses from `ip_data` (see ip4_input).
static inline void clwip_tcp_input(struct pbuf *p, struct netif *netif, const ip_addr_t *source,
                                   const ip_addr_t *destination) {
    struct tcp_pcb *pcb = tcp_active_pcbs;
    tcpwnd_size_t window = pcb ? pcb->cwnd : 0;
    u32_t acknowledged = pcb ? pcb->lastack : 0;
    ip_data.current_netif = netif;
    ip_data.current_input_netif = netif;
    ip_data.current_ip_header_tot_len = 0;
    ip_data.current_iphdr_src = *source;
    ip_data.current_iphdr_dest = *destination;
    tcp_input(p, netif);
    ip_data.current_netif = NULL;
    ip_data.current_input_netif = NULL;
    if (!pcb || tcp_active_pcbs != pcb) return;
    // In slow start the library adds two segments for an acknowledgment, which may be for many segments at once.
    if (window < pcb->ssthresh && pcb->cwnd > window && !(pcb->flags & (TF_RTO | TF_INFR)) && pcb->dupacks == 0 &&
        pcb->state >= ESTABLISHED && acknowledged != pcb->lastack)
        pcb->cwnd = LWIP_MAX(pcb->cwnd, LWIP_MIN(window + (pcb->lastack - acknowledged), pcb->ssthresh));
    clwip_tcp_settle_congestion_window(pcb);
}

/// A segment lent to the library for the length of a call: its header in a copy that may be written to, its data where
/// they are.
struct clwip_loan {
    struct pbuf_custom header, data;
    uint8_t bytes[60];
};

static void clwip_loan_returned(struct pbuf *p) { (void)p; }

/// The loan as a buffer. Nothing may be left of it in the library when the call returns (see `clwip_tcp_is_next`).
static inline struct pbuf *clwip_lend(struct clwip_loan *loan, u16_t header_length, const void *data, u16_t length) {
    loan->header.custom_free_function = clwip_loan_returned;
    loan->data.custom_free_function = clwip_loan_returned;
    struct pbuf *first =
        pbuf_alloced_custom(PBUF_RAW, header_length, PBUF_REF, &loan->header, loan->bytes, sizeof loan->bytes);
    if (length > 0)
        pbuf_cat(first, pbuf_alloced_custom(PBUF_RAW, length, PBUF_REF, &loan->data, (void *)data, length));
    return first;
}

/// Whether `packet` is what was lent, whole.
static inline int clwip_is_loan(const struct clwip_loan *loan, const struct pbuf *packet) {
    return packet == &loan->header.pbuf;
}

/// Whether `length` bytes at `sequence` are the next in order, with nothing queued behind them and room for all of
/// them: the library then passes them on at once, and keeps no reference to them.
static inline int clwip_tcp_is_next(const struct tcp_pcb *pcb, u32_t sequence, u32_t length) {
    return pcb->state >= ESTABLISHED && pcb->state <= FIN_WAIT_2 && sequence == pcb->rcv_nxt && !pcb->ooseq &&
           length <= pcb->rcv_wnd;
}

/// What is to be done with a segment that the state of its connection forbids: `acknowledge` without limit, `challenge`
/// within that of RFC 5961 section 7, `abort` with a reset.
typedef enum {
    clwip_tcp_take,
    clwip_tcp_drop,
    clwip_tcp_acknowledge_only,
    clwip_tcp_challenge,
    clwip_tcp_abort
} clwip_tcp_verdict;

/// RFC 9293 section 3.4, table 6, but that where the window is closed, what begins at RCV.NXT may still acknowledge, and a
/// segment without data may be at the edge, where that of a peer is that has filled the window.
static inline int clwip_tcp_is_acceptable(const struct tcp_pcb *pcb, u32_t sequence, u32_t length) {
    u32_t offset = sequence - pcb->rcv_nxt;
    if (offset == 0 || offset < pcb->rcv_wnd) return 1;
    return length == 0 ? offset == pcb->rcv_wnd
                       : TCP_SEQ_LT(sequence, pcb->rcv_nxt) && TCP_SEQ_GT(sequence + length, pcb->rcv_nxt);
}

/// Whether tcp_input may see a segment for `pcb` (RFC 9293 section 3.10.7.4): it takes data without an acknowledgment, or
/// with an impossible one, an acknowledgment from outside the window, for a SYN-ACK in SYN-RECEIVED takes the SYN for a byte
/// of data, puts no limit on challenges, and acknowledges data that nobody will read until their turn has come.
static inline clwip_tcp_verdict clwip_tcp_judge(const struct tcp_pcb *pcb, u8_t flags, u32_t sequence, u32_t length,
                                                u32_t acknowledged) {
    // It believes a reset in SYN-SENT by its acknowledgment, and does not ask whether it has one.
    if (pcb->state == SYN_SENT) return (flags & (TCP_RST | TCP_ACK)) == TCP_RST ? clwip_tcp_drop : clwip_tcp_take;
    if (flags & TCP_RST) {
        // RFC 5961 section 3.2
        if (sequence == pcb->rcv_nxt) return clwip_tcp_take;
        return sequence - pcb->rcv_nxt < pcb->rcv_wnd ? clwip_tcp_challenge : clwip_tcp_drop;
    }
    if (flags & TCP_SYN) {
        // The one that began the connection may come again. RFC 5961 section 4.2
        int is_again = pcb->state == SYN_RCVD && !(flags & TCP_ACK) && sequence + 1 == pcb->rcv_nxt;
        return is_again ? clwip_tcp_take : clwip_tcp_challenge;
    }
    if (!clwip_tcp_is_acceptable(pcb, sequence, length))
        return length > 0 ? clwip_tcp_acknowledge_only : clwip_tcp_challenge;
    if (!(flags & TCP_ACK)) return clwip_tcp_drop;
    // In SYN-RECEIVED a wrong acknowledgment is answered with a reset, elsewhere with the right one (RFC 5961 section 5).
    if (pcb->state == SYN_RCVD) return clwip_tcp_take;
    if (TCP_SEQ_GT(acknowledged, pcb->snd_nxt) || TCP_SEQ_LT(acknowledged, pcb->lastack - pcb->snd_wnd_max))
        return clwip_tcp_challenge;
    // Section 3.6.1
    u32_t data = length - !!(flags & TCP_FIN);
    int is_closed = (pcb->flags & TF_RXCLOSED) && (pcb->state == FIN_WAIT_1 || pcb->state == FIN_WAIT_2);
    return is_closed && data > 0 && TCP_SEQ_GT(sequence + data, pcb->rcv_nxt) ? clwip_tcp_abort : clwip_tcp_take;
}

typedef enum { clwip_tcp_fits, clwip_tcp_exceeds_window, clwip_tcp_exceeds_queue } clwip_tcp_room;

/// Whether the data of a segment for `pcb` may be given to tcp_input. It queues what lies beyond the next byte
/// untrimmed, aborts later if that overran the window, and puts no limit on how many pieces it queues. A sender that
/// honours the window sends nothing that is refused here.
static inline clwip_tcp_room clwip_tcp_may_receive(const struct tcp_pcb *pcb, u32_t sequence, u32_t length) {
    enum { most_out_of_order = 256 };
    int queued = 0;
    if (pcb->state == SYN_SENT || length == 0 || TCP_SEQ_LEQ(sequence, pcb->rcv_nxt)) return clwip_tcp_fits;
    if (TCP_SEQ_GT(sequence + length, pcb->rcv_nxt + pcb->rcv_wnd)) return clwip_tcp_exceeds_window;
    for (const struct tcp_seg *segment = pcb->ooseq; segment; segment = segment->next) queued++;
    return queued < most_out_of_order ? clwip_tcp_fits : clwip_tcp_exceeds_queue;
}

/// Opens the receive window by `count` bytes, to `limit` at most, and announces it when a quarter has become free.
/// tcp_recved would cut it to the 64 KiB the library was built for.
static inline void clwip_tcp_open_window(struct tcp_pcb *pcb, u32_t count, u32_t limit) {
    pcb->rcv_wnd = LWIP_MIN(pcb->rcv_wnd + count, LWIP_MAX(limit, pcb->rcv_wnd));
    if (tcp_update_rcv_ann_wnd(pcb) >= LWIP_MIN(limit / 4, 4 * (u32_t)pcb->mss)) {
        tcp_ack_now(pcb);
        tcp_output(pcb);
    }
}

/// Makes the receive window look untouched: tcp_close sends a reset in place of a FIN otherwise.
static inline void clwip_tcp_restore_window(struct tcp_pcb *pcb) { pcb->rcv_wnd = TCP_WND_MAX(pcb); }

/// The last segment that waits to be sent for the first time, or again; NULL if there is none.
static inline struct tcp_seg *clwip_tcp_last_unsent(const struct tcp_pcb *pcb) {
    struct tcp_seg *last = pcb->unsent;
    while (last && last->next) last = last->next;
    return last;
}

/// Queues data in segments of `segment` bytes, which may be longer than the connection's MSS: whoever puts them on
/// the link cuts them. The library's limit on the number of buffers does not apply.
static inline err_t clwip_tcp_write(struct tcp_pcb *pcb, const void *bytes, u16_t count, u16_t segment) {
    u16_t mss = pcb->mss, buffers = pcb->snd_queuelen, shown = buffers ? 1 : 0;
    tcpwnd_size_t window = pcb->snd_wnd_max;
    if (buffers > 0xf000) return ERR_MEM;
    // What it finds unsent must not be longer than what it would make now: tcp_write asserts it.
    const struct tcp_seg *last = clwip_tcp_last_unsent(pcb);
    if (last) segment = LWIP_MAX(segment, last->len + pcb->unsent_oversize);
    pcb->mss = segment;
    pcb->snd_wnd_max = LWIP_MAX(window, 2 * (tcpwnd_size_t)segment);
    pcb->snd_queuelen = shown;
    err_t result = tcp_write(pcb, bytes, count, TCP_WRITE_FLAG_COPY);
    pcb->snd_queuelen += buffers - shown;
    pcb->snd_wnd_max = window;
    pcb->mss = mss;
    return result;
}

/// The longest segment worth queueing: many times the MSS, but no more than a quarter of the congestion window, which
/// loss makes small. Where the largest window that the peer has announced is less than two segments, half of that: it
/// would hold one, and wait for the other.
static inline u16_t clwip_tcp_segment_length(const struct tcp_pcb *pcb) {
    u32_t half = pcb->snd_wnd_max / 2;
    if (half < pcb->mss) return half ? (u16_t)half : pcb->mss;
    u32_t most = LWIP_MIN(LWIP_MIN(pcb->cwnd / 4, half), 0xf000);
    return most <= pcb->mss ? pcb->mss : (u16_t)(most - most % pcb->mss);
}

/// Sets up an open connection for segments of `mss` bytes.
static inline void clwip_tcp_set_mss(struct tcp_pcb *pcb, u16_t mss) {
    pcb->mss = mss;
    // RFC 6928: ten segments, unless these are long.
    pcb->cwnd = LWIP_MAX(LWIP_MIN(10 * (u32_t)mss, 14600), 2 * (u32_t)mss);
    // RFC 5681 section 3.1: arbitrarily high, so that the network says where slow start ends.
    pcb->ssthresh = 0x7fffffff;
}

/// Starts the estimate of the round trip with that of the handshake (RFC 6298 section 2).
static inline void clwip_tcp_set_round_trip(struct tcp_pcb *pcb, u16_t ticks) {
    enum { library_default = 6 };
    pcb->sa = (s16_t)(ticks << 3);
    pcb->sv = LWIP_MAX((s16_t)(2 * ticks), library_default);
    pcb->rto = (s16_t)(ticks + pcb->sv);
}

/// Called as the handshake ends, before anything else is sent: where the peer scales windows, the scale of ours is
/// `scale`, and the window `window` bytes. False where it does not.
static inline int clwip_tcp_set_window(struct tcp_pcb *pcb, u8_t scale, u32_t window) {
    if (!(pcb->flags & TF_WND_SCALE)) return 0;
    pcb->rcv_scale = scale;
    pcb->rcv_wnd = window;
    tcp_update_rcv_ann_wnd(pcb);
    return 1;
}

/// Whether an acknowledgment is being held back for a second segment, or for a timer.
static inline int clwip_tcp_delays_acknowledgment(const struct tcp_pcb *pcb) {
    return (pcb->flags & TF_ACK_DELAY) != 0;
}

static inline void clwip_tcp_acknowledge(struct tcp_pcb *pcb) {
    tcp_ack_now(pcb);
    tcp_output(pcb);
}

/// Whether the connection has an acknowledgment to send or a FIN to queue, which tcp_fasttmr does.
static inline int clwip_tcp_needs_fast_tick(const struct tcp_pcb *pcb) {
    return (pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND)) != 0;
}

/// Whether tcp_slowtmr has something to wait for. Keep-alive apart, an open connection with nothing queued needs no
/// timer.
static inline int clwip_tcp_needs_slow_tick(const struct tcp_pcb *pcb) {
    return pcb->rtime >= 0 || pcb->unsent || pcb->ooseq || pcb->persist_backoff ||
           !(pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT ||
             (pcb->state == FIN_WAIT_2 && !(pcb->flags & TF_RXCLOSED)));
}

/// Runs tcp_slowtmr for the connection admitted. A tick is `1 / scale` of the library's half second, and only
/// retransmission is meant to be that much faster: what the library measures from `pcb->tmr` is not.
static inline void clwip_tcp_slow_tick(struct tcp_pcb *pcb, u32_t scale) {
    enum { least_timeout = 5 };
    u32_t now = tcp_ticks, shown = pcb->tmr + (now - pcb->tmr) / scale;
    u16_t mss = pcb->mss;
    // The persist timer is for data that waits for a window while none is in flight; the library aborts when a peer
    // has brought it out of step, and when the part it cuts off for a small window is longer than the MSS.
    if (pcb->persist_backoff) {
        if (!pcb->unsent || pcb->unacked || pcb->unsent->len <= pcb->snd_wnd)
            pcb->persist_backoff = 0;
        else
            pcb->mss = LWIP_MAX(mss, (u16_t)pcb->snd_wnd);
    }
    // Of a segment with a FIN it would leave the FIN on both parts: it gets it back as the last part has it.
    int holds_fin = pcb->persist_backoff && pcb->snd_wnd && (TCPH_FLAGS(pcb->unsent->tcphdr) & TCP_FIN);
    if (holds_fin) TCPH_UNSET_FLAG(pcb->unsent->tcphdr, TCP_FIN);
    if (pcb->state == SYN_SENT || pcb->state == SYN_RCVD)
        pcb->rto = (s16_t)(2 * scale << LWIP_MIN(pcb->nrtx, 5));  // RFC 6298 section 2: a second, doubled each time.
    else
        pcb->rto = LWIP_MAX(pcb->rto, least_timeout);
    tcp_ticks = shown - 1;
    tcp_slowtmr();
    tcp_ticks = now;
    if (tcp_active_pcbs != pcb) return;
    pcb->mss = mss;
    struct tcp_seg *last = clwip_tcp_last_unsent(pcb);
    if (holds_fin && last) TCPH_SET_FLAG(last->tcphdr, TCP_FIN);
    // RFC 6298 section 3: what has been sent twice times nothing.
    if (pcb->rttest == shown) pcb->rttest = 0;
    clwip_tcp_settle_congestion_window(pcb);
    if (pcb->unsent) tcp_output(pcb);
}

/// Whether `sequence` lies in what an opening or open connection has sent and the peer has not acknowledged
/// (RFC 5927, section 4.1).
static inline int clwip_tcp_in_flight(const struct tcp_pcb *pcb, u32_t sequence) {
    return TCP_SEQ_GEQ(sequence, pcb->lastack) && TCP_SEQ_LEQ(sequence, pcb->snd_nxt);
}

#endif
