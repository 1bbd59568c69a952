// Writing, reading and closing, with windows and segments of any size.

#include "connection.h"

#include "outcome.h"

#include <lwip/inet_chksum.h>
#include <lwip/prot/ip4.h>
#include <lwip/prot/tcp.h>

static bool has_stock_window(const struct options *options) { return options->window <= TCP_WND; }
static bool has_stock_segment(const struct options *options) { return options->segment <= TCP_MSS; }

/// The window scale (RFC 7323) that the window takes.
static u8_t window_scale(const struct options *options) {
    u8_t scale = TCP_RCV_SCALE;
    while (options->window >> scale > UINT16_MAX) scale++;
    return scale;
}

void connection_offer(struct pbuf *packet, const struct options *options) {
    enum { end = 0, no_operation = 1, maximum_segment_size = 2, scale = 3 };
    if (has_stock_window(options) && has_stock_segment(options)) return;
    struct ip_hdr *ip = packet->payload;
    struct tcp_hdr *tcp = (struct tcp_hdr *)((u8_t *)packet->payload + IP_HLEN);
    if (IPH_PROTO(ip) != IP_PROTO_TCP || !(TCPH_FLAGS(tcp) & TCP_SYN)) return;
    // The library made these options: they are well formed.
    u8_t *option = (u8_t *)(tcp + 1), *last = (u8_t *)tcp + TCPH_HDRLEN_BYTES(tcp);
    while (option < last && *option != end) {
        if (*option == maximum_segment_size && !has_stock_segment(options)) {
            option[2] = (u8_t)(options->segment >> 8);
            option[3] = (u8_t)options->segment;
        }
        if (*option == scale) option[2] = window_scale(options);
        option += *option == no_operation ? 1 : option[1];
    }
    ip_addr_t source, destination;
    ip_addr_copy_from_ip4(source, ip->src);
    ip_addr_copy_from_ip4(destination, ip->dest);
    pbuf_remove_header(packet, IP_HLEN);
    tcp->chksum = 0;
    tcp->chksum = ip_chksum_pseudo(packet, IP_PROTO_TCP, packet->tot_len, &source, &destination);
    pbuf_add_header(packet, IP_HLEN);
}

void connection_opened(struct tcp_pcb *pcb, const struct options *options) {
    tcp_nagle_disable(pcb);
    if (!has_stock_segment(options)) {
        // The library clamps what the peer's SYN offers, which is what our own does: the ends are alike.
        pcb->mss = (u16_t)options->segment;
        pcb->cwnd = 2 * (tcpwnd_size_t)pcb->mss;
    }
    if (!has_stock_window(options)) {
        pcb->rcv_scale = window_scale(options);
        pcb->rcv_wnd = options->window;
        pcb->snd_buf = options->window;
        pcb->ssthresh = options->window;
        tcp_update_rcv_ann_wnd(pcb);
        tcp_ack_now(pcb);
    }
}

err_t connection_write(struct tcp_pcb *pcb, const void *bytes, u16_t length) {
    // The library queues 180 buffers at most, which would cut large windows short: it sees one in place of many.
    u16_t queued = pcb->snd_queuelen, hidden = queued > 1 ? queued - 1 : 0;
    pcb->snd_queuelen -= hidden;
    err_t result = tcp_write(pcb, bytes, length, TCP_WRITE_FLAG_COPY);
    pcb->snd_queuelen += hidden;
    return result;
}

u16_t connection_read(struct tcp_pcb *pcb, struct pbuf *packet, const struct options *options) {
    static u8_t buffer[65536];
    u16_t length = packet->tot_len;
    u8_t *next = buffer;
    for (struct pbuf *part = packet; part; part = part->next) {
        memcpy(next, part->payload, part->len);
        next += part->len;
    }
    pbuf_free(packet);
    if (has_stock_window(options)) {
        tcp_recved(pcb, length);
    } else {
        // As tcp_recved, which would clamp the window to 65535.
        pcb->rcv_wnd += length;
        if (tcp_update_rcv_ann_wnd(pcb) >= TCP_WND_UPDATE_THRESHOLD) {
            tcp_ack_now(pcb);
            tcp_output(pcb);
        }
    }
    return length;
}

void connection_close(struct tcp_pcb *pcb) {
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    // With any other window, the library takes it that something is unread, and sends a reset.
    pcb->rcv_wnd = TCP_WND_MAX(pcb);
    if (tcp_close(pcb) != ERR_OK) fatal("tcp_close failed");
}
