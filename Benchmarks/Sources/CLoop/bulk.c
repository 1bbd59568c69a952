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
};

struct bulk {
    const struct options *options;
    struct end *clients, *servers;
    uint32_t connected, accepted;
};

static struct bulk bulk;
static u8_t source[UINT16_MAX];

static void fill(struct tcp_pcb *pcb) {
    u32_t room;
    while ((room = tcp_sndbuf(pcb)) > 0)
        if (connection_write(pcb, source, (u16_t)LWIP_MIN(room, sizeof source)) != ERR_OK) break;
    tcp_output(pcb);
}

static err_t sent(void *argument, struct tcp_pcb *pcb, u16_t length) {
    (void)argument;
    (void)length;
    // Each acknowledgment frees two segments or so: larger pieces take fewer calls.
    if (tcp_sndbuf(pcb) >= TCP_SND_BUF / 4) fill(pcb);
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

static void run_until(struct loop *loop, uint64_t end) {
    do loop_turn(loop);
    while (host_now < end);
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

    struct end *senders = options->down ? bulk.servers : bulk.clients;
    struct end *receivers = options->down ? bulk.clients : bulk.servers;
    host_enter(options->down ? &loop->server : &loop->client);
    for (uint32_t i = 0; i < flows; i++) fill(senders[i].pcb);
    run_until(loop, host_now + (uint64_t)(options->seconds / 4 * 1e9));

    for (uint32_t i = 0; i < flows; i++) receivers[i].received = 0;
    uint64_t start = usage_clock();
    double processor = usage_processor();
    run_until(loop, start + (uint64_t)(options->seconds * 1e9));
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
