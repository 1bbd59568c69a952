// How a measurement ends: in metrics, in a reason why it can't be made, or in an error.

#ifndef OUTCOME_H
#define OUTCOME_H

#include "options.h"

#include <stddef.h>

struct metric {
    const char *name;
    double value;
};

/// Each prints the line that the benchmark's harness reads.
void outcome_metrics(const struct options *options, const struct metric *metrics, size_t count);
void outcome_unsupported(const struct options *options, const char *reason);

/// Ends the process with a message.
_Noreturn void fatal(const char *message);

#endif
