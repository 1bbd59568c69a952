// What the process uses: time, processor, memory.

#ifndef USAGE_H
#define USAGE_H

#include <stdint.h>

/// Nanoseconds of a clock that never goes back.
uint64_t usage_clock(void);

/// Seconds of user and system time so far.
double usage_processor(void);

/// Bytes of memory resident now, and at most so far.
double usage_resident(void);
double usage_peak_resident(void);

#endif
