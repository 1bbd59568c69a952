// Initial sequence numbers by RFC 6528: a clock plus a keyed hash of the connection. The library's own are a
// counter that anyone can guess, and two stacks that share it can open a connection behind its predecessor's.

#define _GNU_SOURCE
#include "CLwIPSupport.h"

#include <dlfcn.h>
#include <lwip/priv/tcp_priv.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t rotate(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1]; v[1] = rotate(v[1], 13); v[1] ^= v[0]; v[0] = rotate(v[0], 32);
    v[2] += v[3]; v[3] = rotate(v[3], 16); v[3] ^= v[2];
    v[0] += v[3]; v[3] = rotate(v[3], 21); v[3] ^= v[0];
    v[2] += v[1]; v[1] = rotate(v[1], 17); v[1] ^= v[2]; v[2] = rotate(v[2], 32);
}

/// SipHash-1-3 of whole words (Aumasson and Bernstein, 2012).
static uint64_t sip_hash(const uint64_t key[2], const uint64_t *words, size_t count) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    for (size_t i = 0; i <= count; i++) {
        uint64_t word = i < count ? words[i] : (uint64_t)(count * 8) << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/// Called by the library for each new connection, under the lock that lets one thread in at a time.
u32_t tcp_next_iss(struct tcp_pcb *pcb) {
    static uint64_t key[2];
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return (u32_t)sip_hash(key, (const uint64_t[]){pcb->remote_port}, 1);  // The same in each run.
#endif
    if (!key[0] && getrandom(key, sizeof key, 0) != sizeof key) key[0] = 1;
    struct {
        ip_addr_t local, remote;
        u16_t ports[2];
    } connection;
    uint64_t words[(sizeof connection + 7) / 8] = {0};
    memset(&connection, 0, sizeof connection);
    connection.local = pcb->local_ip;
    connection.remote = pcb->remote_ip;
    connection.ports[0] = pcb->local_port;
    connection.ports[1] = pcb->remote_port;
    memcpy(words, &connection, sizeof connection);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    // A step every 64 ns: the numbers of successive connections of the same four grow for over two minutes.
    uint64_t clock = ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) >> 6;
    return (u32_t)(sip_hash(key, words, sizeof words / 8) + clock);
}

int clwip_support_iss_replaced(void) { return dlsym(RTLD_DEFAULT, "tcp_next_iss") == (void *)tcp_next_iss; }
