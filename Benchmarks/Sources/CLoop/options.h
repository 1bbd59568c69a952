// What to measure: the flags that all programs of the benchmark share, and two of this one's own.

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *subject;
    const char *workload;
    /// Whether the server sends, in bulk.
    bool down;
    uint32_t mtu;
    uint32_t flows;
    uint32_t rtt_ms;
    double seconds;
    uint32_t concurrency;
    uint32_t connections;
    uint32_t size;
    /// The receive window and send buffer of each end: 65535 is what the library is built with.
    uint32_t window;
    /// The most payload of a segment: what the MTU leaves, if it isn't said. The library is built for 1460.
    uint32_t segment;
    /// How many lists the connections of each end are spread over.
    uint32_t shards;
};

/// False, after a message, if the arguments make no sense.
bool options_parse(struct options *options, const char *subject, int argc, char **argv);

#endif
