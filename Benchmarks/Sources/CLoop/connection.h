// A connection as the workloads use it. With the sizes the library was built with, these are its own functions; beyond
// them, what it fixes at compile time is changed in each pcb.

#ifndef CONNECTION_H
#define CONNECTION_H

#include "../../../CLwIP/shim.h"
#include "options.h"

/// Writes our sizes into the options of a SYN that is about to leave.
void connection_offer(struct pbuf *packet, const struct options *options);

/// To be called once a connection is established, at either end.
void connection_opened(struct tcp_pcb *pcb, const struct options *options);

/// Queues a copy of some bytes: all or nothing.
err_t connection_write(struct tcp_pcb *pcb, const void *bytes, u16_t length);

/// Reads what the library's callback was given, as a server would, and opens the window by as much.
u16_t connection_read(struct tcp_pcb *pcb, struct pbuf *packet, const struct options *options);

/// Closes both directions, with nothing left to be read.
void connection_close(struct tcp_pcb *pcb);

#endif
