// The workloads: each makes its measurement over an open loop and prints the outcome.

#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "loop.h"

/// Bytes one way, over some flows at once.
void run_bulk(struct loop *loop, const struct options *options);
/// One byte there and one back.
void run_latency(struct loop *loop, const struct options *options);
/// Connections that are opened, used for one byte each way, and closed, over and over.
void run_connect(struct loop *loop, const struct options *options);
/// Many connections opened at once.
void run_dials(struct loop *loop, const struct options *options);
/// Many connections that stay open.
void run_idle(struct loop *loop, const struct options *options);
/// Datagrams one way.
void run_udp(struct loop *loop, const struct options *options);

#endif
