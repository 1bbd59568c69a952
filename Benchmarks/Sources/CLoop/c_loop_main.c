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

int c_loop_main(const char *subject, int argc, char **argv) {
    struct options options;
    if (!options_parse(&options, subject, argc, argv)) return 1;
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
