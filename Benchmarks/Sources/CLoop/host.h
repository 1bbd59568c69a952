// One end: a stack of its own inside the library, and the packets that are on their way to it.

#ifndef HOST_H
#define HOST_H

#include "../../../CLwIP/shim.h"
#include "options.h"

#include <stdbool.h>

/// Packets in flight, in a ring that grows.
struct wire {
    struct in_flight {
        struct pbuf *packet;
        uint64_t due;
    } *ring;
    size_t first, count, capacity;
};

/// The connections of one hash.
struct shard {
    struct tcp_pcb *active, *time_wait;
};

/// The globals of the library that make up one host.
struct heads {
    struct tcp_pcb *active, *listening, *time_wait;
    struct udp_pcb *udp;
    struct netif *netifs, *default_netif;
    u32_t ticks;
};

struct host {
    /// Its share of the library's globals while the other end's are in place.
    struct heads heads;
    struct netif netif;
    ip_addr_t address;
    struct host *peer;
    struct wire wire;
    /// The lists of all shards but the current one, which are the library's or in `heads`.
    struct shard *shards;
    u32_t shard;
    const struct options *options;
    u16_t last_port;
    u32_t tick;
};

/// The time that packets sent now carry, set by the loop.
extern uint64_t host_now;

void host_open(struct host *host, uint32_t address, struct host *peer, const struct options *options);

/// Puts the host's globals in the library's place. Whatever calls the library comes through here first.
void host_enter(struct host *host);

/// The same, for what takes a connection out of a list.
void host_enter_connection(struct host *host, const struct tcp_pcb *pcb);

/// Gives the stack what has arrived by now. The result is the number of packets.
size_t host_deliver(struct host *host);

/// Runs the timers of a part of the connections: of all, in as many calls.
enum { host_tick_slices = 16 };
void host_tick(struct host *host);

/// When the next packet arrives, or UINT64_MAX.
uint64_t host_next_arrival(const struct host *host);

/// A listener, whose callback gets `argument`.
void host_listen(struct host *host, u16_t port, tcp_accept_fn accepted, void *argument);

/// Connects to the peer from the next local port. The result is NULL if that fails.
struct tcp_pcb *host_connect(struct host *host, u16_t port, tcp_connected_fn connected, void *argument);

#endif
