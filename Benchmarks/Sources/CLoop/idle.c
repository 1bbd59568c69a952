// Idle: what many open connections cost: memory, timers, and the finding of one among them.

#include "durations.h"
#include "echo.h"
#include "outcome.h"
#include "usage.h"
#include "workloads.h"

#include <stdlib.h>

enum { port = 5004 };

static bool ready;

static void note(struct echo *echo) {
    (void)echo;
    ready = true;
}

static void failed(struct echo *echo) {
    (void)echo;
    fatal("a connection broke, or could not be opened");
}

static void wait(struct loop *loop) {
    while (!ready) loop_turn(loop);
    ready = false;
}

void run_idle(struct loop *loop, const struct options *options) {
    uint32_t count = options->connections;
    echo_serve(loop, port);
    struct echo *clients = calloc(count, sizeof *clients);
    if (!clients) fatal("no memory for clients");
    for (uint32_t i = 0; i < count; i++)
        clients[i] = (struct echo){.loop = loop, .opened = note, .answered = note, .failed = failed};

    double resident = usage_resident();
    uint64_t start = usage_clock();
    for (uint32_t i = 0; i < count; i++) {
        echo_connect(&clients[i], port);
        wait(loop);
    }
    double connect_us = (double)(usage_clock() - start) / 1e3 / count;
    // The last acknowledgment of a handshake is still on its way.
    loop_turn(loop);
    resident = usage_resident() - resident;

    loop->longest_tick = 0;
    struct durations durations = {0};
    uint64_t end = usage_clock() + (uint64_t)(options->seconds * 1e9);
    unsigned seed = 1;
    for (uint64_t before = usage_clock(); before < end; before = usage_clock()) {
        echo_send(&clients[(uint32_t)rand_r(&seed) % count], 64);
        wait(loop);
        durations_add(&durations, usage_clock() - before);
    }
    durations_sort(&durations);
    const struct metric metrics[] = {
        {"bytes_per_connection", resident / count},
        {"message_us", durations_percentile(&durations, 0.5)},
        {"connect_us", connect_us},
        {"tick_max_us", (double)loop->longest_tick / 1e3},
    };
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}
