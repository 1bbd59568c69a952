// The two ends and the thread that runs them.

#ifndef LOOP_H
#define LOOP_H

#include "host.h"

struct loop {
    struct host client, server;
    uint64_t next_tick, deadline;
    /// The longest that the timers of one end have taken, in nanoseconds.
    uint64_t longest_tick;
};

void loop_open(struct loop *loop, const struct options *options);

/// One round: the server takes what has arrived, then the client, then timers that are due. Sleeps if there was
/// nothing.
void loop_turn(struct loop *loop);

#endif
