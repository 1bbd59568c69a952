// A growing array of durations, and its percentiles.

#include "durations.h"

#include "outcome.h"

#include <stdlib.h>

void durations_add(struct durations *durations, uint64_t nanoseconds) {
    if (durations->count == durations->capacity) {
        durations->capacity = durations->capacity ? durations->capacity * 2 : 4096;
        durations->values = realloc(durations->values, durations->capacity * sizeof *durations->values);
        if (!durations->values) fatal("no memory for durations");
    }
    durations->values[durations->count++] = nanoseconds;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void durations_sort(struct durations *durations) {
    if (!durations->count) fatal("nothing was measured");
    qsort(durations->values, durations->count, sizeof *durations->values, compare);
}

double durations_percentile(const struct durations *durations, double part) {
    return (double)durations->values[(size_t)(part * (double)(durations->count - 1))] / 1e3;
}
