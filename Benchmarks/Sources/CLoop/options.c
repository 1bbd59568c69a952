// Reading the command line.

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct number {
    const char *name;
    uint32_t *value;
    uint32_t least, most;
};

static bool parse_number(const struct number *number, const char *text) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < number->least || value > number->most) return false;
    *number->value = (uint32_t)value;
    return true;
}

static bool parse_seconds(double *seconds, const char *text) {
    char *end;
    *seconds = strtod(text, &end);
    return end != text && !*end && *seconds > 0 && *seconds <= 3600;
}

bool options_parse(struct options *options, const char *subject, int argc, char **argv) {
    enum { headers = 40 };
    *options = (struct options){
        .subject = subject, .workload = "bulk", .down = true, .mtu = 1500, .flows = 1, .seconds = 1,
        .concurrency = 1, .connections = 1000, .size = 1400, .window = 65535,
        .shards = 1,
    };
    const struct number numbers[] = {
        {"--mtu", &options->mtu, 576, 65535},
        {"--flows", &options->flows, 1, 4096},
        {"--rtt-ms", &options->rtt_ms, 0, 10000},
        {"--concurrency", &options->concurrency, 1, 4096},
        {"--connections", &options->connections, 1, 1000000},
        {"--size", &options->size, 1, 65507},
        // The library counts the buffers of a window in 16 bits.
        {"--window", &options->window, 65535, 32 << 20},
        {"--segment", &options->segment, 536, 65535 - headers},
    };
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        bool understood = false;
        if (!strcmp(name, "--subject")) {
            understood = !strcmp(value, subject);
        } else if (!strcmp(name, "--workload")) {
            options->workload = value;
            understood = true;
        } else if (!strcmp(name, "--direction")) {
            options->down = !strcmp(value, "down");
            understood = options->down || !strcmp(value, "up");
        } else if (!strcmp(name, "--seconds")) {
            understood = parse_seconds(&options->seconds, value);
        } else if (!strcmp(name, "--server")) {
            understood = true;  // The kernel's server has no part in this.
        }
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++)
            if (!strcmp(name, numbers[n].name)) understood = parse_number(&numbers[n], value);
        if (!understood) {
            fprintf(stderr, "%s: can't use %s %s\n", subject, name, value);
            return false;
        }
    }
    if (!options->segment || options->segment > options->mtu - headers) options->segment = options->mtu - headers;
    return true;
}
