// DNS messages to the host's name servers and back.

#include "CHost.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <string.h>

int host_relay_query(const unsigned char *query, int length, unsigned char *reply, int capacity) {
    struct __res_state state;
    memset(&state, 0, sizeof state);
    if (res_ninit(&state) != 0) return -1;
    int count = res_nsend(&state, query, length, reply, capacity);
    res_nclose(&state);
    return count;
}
