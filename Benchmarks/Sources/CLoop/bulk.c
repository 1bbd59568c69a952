// Bulk: bytes one way, as fast as they go.

#include "connection.h"
#include "outcome.h"
#include "usage.h"
#include "workloads.h"

#include <stdlib.h>

enum { port = 5001 };

/// One end of a flow: the one that sends or the one that receives.
struct end {
    struct tcp_pcb *pcb;
    uint64_t received;
    /// Whether and where it is in the list of those with room.
    bool has_room;
    struct end *next;
};

struct bulk {
    const struct options *options;
    struct end *clients, *servers;
    uint32_t connected, accepted;
    /// The senders that something was acknowledged to in this turn.
    struct end *with_room;
};

static struct bulk bulk;
static u8_t source[UINT16_MAX];

/// Fills the send buffers that have room. It's done once a turn: for each acknowledgment by itself, the library would
/// walk its queue of what is in flight.
static void fill_all(struct host *sender) {
    if (!bulk.with_room) return;
    host_enter(sender);
    for (struct end *end = bulk.with_room; end; end = end->next) {
        u32_t room;
        while ((room = tcp_sndbuf(end->pcb)) > 0)
            if (connection_write(end->pcb, source, (u16_t)LWIP_MIN(room, sizeof source)) != ERR_OK) break;
        tcp_output(end->pcb);
        end->has_room = false;
    }
    bulk.with_room = NULL;
}

static void note_room(struct end *end) {
    if (end->has_room) return;
    end->has_room = true;
    end->next = bulk.with_room;
    bulk.with_room = end;
}

static err_t sent(void *argument, struct tcp_pcb *pcb, u16_t length) {
    (void)pcb;
    (void)length;
    note_room(argument);
    return ERR_OK;
}

static err_t received(void *argument, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
    (void)error;
    if (!packet) fatal("a flow was closed");
    ((struct end *)argument)->received += connection_read(pcb, packet, bulk.options);
    return ERR_OK;
}

static void failed(void *argument, err_t error) {
    (void)argument;
    (void)error;
    fatal("a flow broke");
}

static void open_end(struct end *end, struct tcp_pcb *pcb) {
    end->pcb = pcb;
    tcp_arg(pcb, end);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_err(pcb, failed);
    connection_opened(pcb, bulk.options);
}

static err_t accepted(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)argument;
    (void)error;
    open_end(&bulk.servers[bulk.accepted++], pcb);
    return ERR_OK;
}

static err_t connected(void *argument, struct tcp_pcb *pcb, err_t error) {
    (void)error;
    open_end(argument, pcb);
    bulk.connected++;
    return ERR_OK;
}

static void run_until(struct loop *loop, struct host *sender, uint64_t end) {
    do {
        fill_all(sender);
        loop_turn(loop);
    } while (host_now < end);
}

void run_bulk(struct loop *loop, const struct options *options) {
    uint32_t flows = options->flows;
    bulk = (struct bulk){.options = options, .clients = calloc(flows, sizeof(struct end)),
                         .servers = calloc(flows, sizeof(struct end))};
    if (!bulk.clients || !bulk.servers) fatal("no memory for flows");
    for (size_t i = 0; i < sizeof source; i++) source[i] = (u8_t)(i * 131 >> 3);
    host_listen(&loop->server, port, accepted, NULL);
    for (uint32_t i = 0; i < flows; i++)
        if (!host_connect(&loop->client, port, connected, &bulk.clients[i])) fatal("a connect failed");
    while (bulk.connected < flows || bulk.accepted < flows) loop_turn(loop);

    struct host *sender = options->down ? &loop->server : &loop->client;
    struct end *senders = options->down ? bulk.servers : bulk.clients;
    struct end *receivers = options->down ? bulk.clients : bulk.servers;
    for (uint32_t i = 0; i < flows; i++) note_room(&senders[i]);
    run_until(loop, sender, host_now + (uint64_t)(options->seconds / 4 * 1e9));

    for (uint32_t i = 0; i < flows; i++) receivers[i].received = 0;
    uint64_t start = usage_clock();
    double processor = usage_processor();
    run_until(loop, sender, start + (uint64_t)(options->seconds * 1e9));
    double elapsed = (double)(usage_clock() - start) / 1e9;
    processor = usage_processor() - processor;

    uint64_t total = 0, least = UINT64_MAX;
    for (uint32_t i = 0; i < flows; i++) {
        total += receivers[i].received;
        least = LWIP_MIN(least, receivers[i].received);
    }
    if (!total) fatal("no bytes arrived");
    const struct metric metrics[] = {
        {"gbps", (double)total * 8 / elapsed / 1e9},
        {"cpu_s_per_gb", processor / ((double)total / 1e9)},
        {"min_share", (double)least * flows / (double)total},
        {"peak_rss_mb", usage_peak_resident() / 1e6},
    };
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}
