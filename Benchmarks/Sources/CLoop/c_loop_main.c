// From the command line to the workload.

#include "include/CLoop.h"

#include "outcome.h"
#include "workloads.h"

#include <malloc.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(struct loop *, const struct options *);
} workloads[] = {
    {"bulk", run_bulk},   {"latency", run_latency}, {"connect", run_connect},
    {"dials", run_dials}, {"idle", run_idle},       {"udp", run_udp},
};

int c_loop_main(const char *subject, bool may_shard, int argc, char **argv) {
    struct options options;
    if (!options_parse(&options, subject, argc, argv)) return 1;
    if (options.connections > 64000) {
        outcome_unsupported(&options, "there are 64,512 local ports");
        return 0;
    }
    // A prime: the timers count their runs in eight bits, and skip connections that seem to have been seen in this one.
    bool many = !strcmp(options.workload, "dials") || !strcmp(options.workload, "idle");
    if (may_shard && many && options.connections > 1000) options.shards = 4093;
    // glibc would give the memory of large segments back to the system after each, and fetch it again.
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++) {
        if (strcmp(options.workload, workloads[i].name)) continue;
        struct loop loop;
        loop_open(&loop, &options);
        workloads[i].run(&loop, &options);
        return 0;
    }
    if (!strcmp(options.workload, "http")) {
        outcome_unsupported(&options, "this subject has no HTTP");
        return 0;
    }
    fatal("no such workload");
}
