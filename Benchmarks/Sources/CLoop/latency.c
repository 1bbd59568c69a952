// Latency: one byte there and one back, one at a time, on one connection.

#include "durations.h"
#include "echo.h"
#include "outcome.h"
#include "usage.h"
#include "workloads.h"

enum { port = 5002 };

static bool ready;

static void note(struct echo *echo) {
    (void)echo;
    ready = true;
}

static void failed(struct echo *echo) {
    (void)echo;
    fatal("the connection broke");
}

static void wait(struct loop *loop) {
    while (!ready) loop_turn(loop);
    ready = false;
}

void run_latency(struct loop *loop, const struct options *options) {
    echo_serve(loop, port);
    struct echo echo = {.loop = loop, .opened = note, .answered = note, .failed = failed};
    echo_connect(&echo, port);
    wait(loop);

    struct durations durations = {0};
    uint64_t start = usage_clock() + (uint64_t)(options->seconds / 4 * 1e9);
    uint64_t end = start + (uint64_t)(options->seconds * 1e9);
    for (uint64_t before = usage_clock(), after; before < end; before = after) {
        echo_send(&echo, 1);
        wait(loop);
        after = usage_clock();
        if (before >= start) durations_add(&durations, after - before);
    }
    durations_sort(&durations);
    const struct metric metrics[] = {
        {"p50_us", durations_percentile(&durations, 0.5)},
        {"p99_us", durations_percentile(&durations, 0.99)},
        {"p999_us", durations_percentile(&durations, 0.999)},
    };
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}
