// A stack, its side of the link, and its timers.

#include "host.h"

#include "connection.h"
#include "outcome.h"

#include <lwip/prot/ip4.h>
#include <lwip/prot/tcp.h>
#include <stdlib.h>

uint64_t host_now;

static struct host *current;

void host_enter(struct host *host) {
    if (current == host) return;
    if (current)
        current->heads = (struct heads){tcp_active_pcbs, tcp_listen_pcbs.pcbs, tcp_tw_pcbs, udp_pcbs,
                                        netif_list,      netif_default,        tcp_ticks};
    tcp_active_pcbs = host->heads.active;
    tcp_listen_pcbs.pcbs = host->heads.listening;
    tcp_tw_pcbs = host->heads.time_wait;
    udp_pcbs = host->heads.udp;
    netif_list = host->heads.netifs;
    netif_default = host->heads.default_netif;
    tcp_ticks = host->heads.ticks;
    current = host;
}

// MARK: Shards

static void select_shard(struct host *host, u32_t shard) {
    if (shard == host->shard) return;
    host->shards[host->shard] = (struct shard){tcp_active_pcbs, tcp_tw_pcbs};
    tcp_active_pcbs = host->shards[shard].active;
    tcp_tw_pcbs = host->shards[shard].time_wait;
    host->shard = shard;
}

/// The shard of a connection, from its four, of which the addresses are always the same two.
static u32_t shard_of(const struct host *host, u16_t local_port, u16_t remote_port) {
    return ((u32_t)local_port << 16 | remote_port) % host->options->shards;
}

void host_enter_connection(struct host *host, const struct tcp_pcb *pcb) {
    host_enter(host);
    select_shard(host, shard_of(host, pcb->local_port, pcb->remote_port));
}

static void select_shard_of_packet(struct host *host, const struct pbuf *packet) {
    const struct ip_hdr *ip = packet->payload;
    if (host->options->shards == 1 || IPH_PROTO(ip) != IP_PROTO_TCP) return;
    const struct tcp_hdr *tcp = (const struct tcp_hdr *)((const u8_t *)packet->payload + IP_HLEN);
    select_shard(host, shard_of(host, lwip_ntohs(tcp->dest), lwip_ntohs(tcp->src)));
}

// MARK: The link

static void wire_put(struct wire *wire, struct pbuf *packet, uint64_t due) {
    if (wire->count == wire->capacity) {
        size_t capacity = wire->capacity ? wire->capacity * 2 : 256;
        struct in_flight *ring = malloc(capacity * sizeof *ring);
        if (!ring) fatal("no memory for packets in flight");
        for (size_t i = 0; i < wire->count; i++) ring[i] = wire->ring[(wire->first + i) & (wire->capacity - 1)];
        free(wire->ring);
        *wire = (struct wire){ring, 0, wire->count, capacity};
    }
    wire->ring[(wire->first + wire->count++) & (wire->capacity - 1)] = (struct in_flight){packet, due};
}

uint64_t host_next_arrival(const struct host *host) {
    return host->wire.count ? host->wire.ring[host->wire.first].due : UINT64_MAX;
}

/// The library's output callback: the peer gets a copy, for the library keeps the segment until it's acknowledged.
static err_t output(struct netif *netif, struct pbuf *packet, const ip4_addr_t *destination) {
    (void)destination;
    struct host *host = netif->state;
    struct pbuf *copy = pbuf_alloc(PBUF_RAW, packet->tot_len, PBUF_RAM);
    if (!copy) return ERR_MEM;
    pbuf_copy_partial(packet, copy->payload, packet->tot_len, 0);
    connection_offer(copy, host->options);
    wire_put(&host->peer->wire, copy, host_now + (uint64_t)host->options->rtt_ms * 500000);
    return ERR_OK;
}

size_t host_deliver(struct host *host) {
    struct wire *wire = &host->wire;
    size_t delivered = 0;
    // What is sent meanwhile waits for the next time: the other end comes in between.
    for (size_t arrived = wire->count; delivered < arrived; delivered++) {
        struct in_flight next = wire->ring[wire->first];
        if (next.due > host_now) break;
        if (!delivered) host_enter(host);
        wire->first = (wire->first + 1) & (wire->capacity - 1);
        wire->count--;
        select_shard_of_packet(host, next.packet);
        if (host->netif.input(next.packet, &host->netif) != ERR_OK) pbuf_free(next.packet);
    }
    return delivered;
}

// MARK: The stack

static err_t add(struct netif *netif) {
    netif->output = output;
    return ERR_OK;
}

void host_open(struct host *host, uint32_t address, struct host *peer, const struct options *options) {
    *host = (struct host){.address = clwip_ip4(address), .peer = peer, .options = options, .last_port = 1023};
    host->shards = calloc(options->shards, sizeof *host->shards);
    if (!host->shards) fatal("no memory for lists");
    host_enter(host);
    ip_addr_t mask = clwip_ip4(0xffffff00), none = clwip_ip4(0);
    if (!netif_add(&host->netif, ip_2_ip4(&host->address), ip_2_ip4(&mask), ip_2_ip4(&none), host, add, ip_input))
        fatal("netif_add failed");
    host->netif.mtu = (u16_t)options->mtu;
    netif_set_default(&host->netif);
    netif_set_link_up(&host->netif);
    netif_set_up(&host->netif);
}

/// Forgets all but the newest connections in TIME-WAIT, which would stay for two minutes and hold all ports. The list
/// begins with the newest, and is cut in one place: the library's own removal searches it from the start each time.
static void limit_time_wait(void) {
    int left = 8192;
    struct tcp_pcb **link = &tcp_tw_pcbs;
    while (*link && left--) link = &(*link)->next;
    struct tcp_pcb *oldest = *link;
    *link = NULL;
    while (oldest) {
        struct tcp_pcb *next = oldest->next;
        tcp_free(oldest);
        oldest = next;
    }
}

void host_tick(struct host *host) {
    host_enter(host);
    bool slow = host->tick / host_tick_slices % 2 == 1;
    u32_t slice = host->tick++ % host_tick_slices, ticks = tcp_ticks;
    for (u32_t shard = slice; shard < host->options->shards; shard += host_tick_slices) {
        select_shard(host, shard);
        tcp_fasttmr();
        if (slow) tcp_slowtmr();
        // Each run counts as half a second: only the last slice's may.
        tcp_ticks = ticks;
    }
    if (slow && slice == host_tick_slices - 1) tcp_ticks++;
}

void host_listen(struct host *host, u16_t port, tcp_accept_fn accepted, void *argument) {
    host_enter(host);
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb || tcp_bind(pcb, &host->address, port) != ERR_OK || !(pcb = tcp_listen(pcb))) fatal("can't listen");
    tcp_arg(pcb, argument);
    tcp_accept(pcb, accepted);
}

struct tcp_pcb *host_connect(struct host *host, u16_t port, tcp_connected_fn connected, void *argument) {
    host_enter(host);
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb) return NULL;
    // The library would search all its lists for a port, 16,384 of them, that no connection to anywhere has.
    host->last_port = host->last_port == UINT16_MAX ? 1024 : host->last_port + 1;
    if (host->last_port % 4096 == 0) limit_time_wait();
    pcb->local_port = host->last_port;
    select_shard(host, shard_of(host, pcb->local_port, port));
    tcp_arg(pcb, argument);
    tcp_nagle_disable(pcb);
    if (tcp_connect(pcb, &host->peer->address, port, connected) == ERR_OK) return pcb;
    tcp_abandon(pcb, 0);
    return NULL;
}
