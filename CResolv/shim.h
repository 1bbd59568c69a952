// The resolver library of the host: DNS messages to its name servers and back.

#pragma once

#include <netinet/in.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>

/// Sends a query to the name servers that /etc/resolv.conf names, over TCP where UDP is too short, and waits for the reply.
/// Returns the reply's length, or -1 when there is none.
static inline int cresolv_send(const unsigned char *query, int length, unsigned char *reply, int capacity) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return -1;
    int count = res_nsend(&state, query, length, reply, capacity);
    res_nclose(&state);
    return count;
}
