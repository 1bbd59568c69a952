// Durations collected one by one.

#ifndef DURATIONS_H
#define DURATIONS_H

#include <stddef.h>
#include <stdint.h>

struct durations {
    /// Nanoseconds.
    uint64_t *values;
    size_t count, capacity;
};

void durations_add(struct durations *durations, uint64_t nanoseconds);
void durations_sort(struct durations *durations);

/// In microseconds, of sorted durations; `part` is 0.5 for the median.
double durations_percentile(const struct durations *durations, double part);

#endif
