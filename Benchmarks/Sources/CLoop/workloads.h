// The workloads: each makes its measurement over an open loop and prints the outcome.

#ifndef WORKLOADS_H
#define WORKLOADS_H

#include "loop.h"

/// Bytes one way, over some flows at once.
void run_bulk(struct loop *loop, const struct options *options);
#endif
