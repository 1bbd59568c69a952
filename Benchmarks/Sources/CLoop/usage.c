// Readings of the system's counters for this process.

#include "usage.h"

#include "outcome.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

uint64_t usage_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

double usage_processor(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

double usage_resident(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    long total, resident;
    if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2) fatal("can't read /proc/self/statm");
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

// getrusage's figure begins with that of the process which has started this one.
double usage_peak_resident(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kilobytes = -1;
    while (file && kilobytes < 0 && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %lf", &kilobytes);
    if (kilobytes < 0) fatal("can't read /proc/self/status");
    fclose(file);
    return kilobytes * 1024;
}
