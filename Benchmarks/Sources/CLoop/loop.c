// Turns, and time.

#include "loop.h"

#include "outcome.h"
#include "usage.h"

#include <time.h>

void loop_open(struct loop *loop, const struct options *options) {
    lwip_init();
    host_now = usage_clock();
    loop->next_tick = host_now;
    loop->deadline = host_now + (uint64_t)((2 * options->seconds + 100) * 1e9);
    loop->longest_tick = 0;
    host_open(&loop->client, 0x0a000001, &loop->server, options);
    host_open(&loop->server, 0x0a000002, &loop->client, options);
}

static void tick(struct loop *loop, struct host *host) {
    uint64_t start = usage_clock();
    host_tick(host);
    uint64_t took = usage_clock() - start;
    if (took > loop->longest_tick) loop->longest_tick = took;
}

void loop_turn(struct loop *loop) {
    host_now = usage_clock();
    if (host_now > loop->deadline) fatal("the measurement takes too long");
    size_t delivered = host_deliver(&loop->server);
    delivered += host_deliver(&loop->client);
    if (host_now >= loop->next_tick) {
        loop->next_tick = host_now + (uint64_t)TCP_FAST_INTERVAL * 1000000 / host_tick_slices;
        tick(loop, &loop->client);
        tick(loop, &loop->server);
    } else if (!delivered) {
        uint64_t next = loop->next_tick;
        if (host_next_arrival(&loop->client) < next) next = host_next_arrival(&loop->client);
        if (host_next_arrival(&loop->server) < next) next = host_next_arrival(&loop->server);
        if (next > host_now) {
            struct timespec wake = {(time_t)(next / 1000000000), (long)(next % 1000000000)};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
        }
    }
}
