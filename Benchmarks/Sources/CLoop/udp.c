// UDP: datagrams one way, as fast as the sender goes. The receiver runs after each burst, on the same thread.

#include "outcome.h"
#include "usage.h"
#include "workloads.h"

enum { port = 5005, burst = 64 };

static uint64_t arrived;

static void received(void *argument, struct udp_pcb *pcb, struct pbuf *packet, const ip_addr_t *source,
                     u16_t source_port) {
    (void)argument;
    (void)pcb;
    (void)source;
    (void)source_port;
    static u8_t buffer[65536];
    pbuf_copy_partial(packet, buffer, packet->tot_len, 0);
    pbuf_free(packet);
    arrived++;
}

static uint64_t run_until(struct loop *loop, struct udp_pcb *pcb, uint16_t size, uint64_t end) {
    static u8_t payload[65536];
    uint64_t sent = 0;
    do {
        host_enter(&loop->client);
        for (int i = 0; i < burst; i++) {
            struct pbuf *packet = pbuf_alloc(PBUF_TRANSPORT, size, PBUF_RAM);
            if (!packet || pbuf_take(packet, payload, size) != ERR_OK) fatal("no memory for a datagram");
            if (udp_send(pcb, packet) == ERR_OK) sent++;
            pbuf_free(packet);
        }
        loop_turn(loop);
    } while (host_now < end);
    return sent;
}

void run_udp(struct loop *loop, const struct options *options) {
    enum { headers = 28 };
    if (options->size > options->mtu - headers) return outcome_unsupported(options, "a datagram longer than the MTU");
    host_enter(&loop->server);
    struct udp_pcb *server = udp_new();
    if (!server || udp_bind(server, &loop->server.address, port) != ERR_OK) fatal("can't bind");
    udp_recv(server, received, NULL);
    host_enter(&loop->client);
    struct udp_pcb *client = udp_new();
    if (!client || udp_connect(client, &loop->server.address, port) != ERR_OK) fatal("can't connect");

    uint16_t size = (uint16_t)options->size;
    run_until(loop, client, size, host_now + (uint64_t)(options->seconds / 4 * 1e9));
    while (loop->server.wire.count) loop_turn(loop);
    arrived = 0;
    uint64_t start = usage_clock();
    uint64_t sent = run_until(loop, client, size, start + (uint64_t)(options->seconds * 1e9));
    double elapsed = (double)(usage_clock() - start) / 1e9;
    while (loop->server.wire.count) loop_turn(loop);
    const struct metric metrics[] = {
        {"packets_per_second", (double)arrived / elapsed},
        {"loss", sent ? 1 - (double)arrived / (double)sent : 0},
    };
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}
