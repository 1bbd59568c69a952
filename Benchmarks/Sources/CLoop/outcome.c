// One line of JSON, or a message.

#include "outcome.h"

#include <stdio.h>
#include <stdlib.h>

void outcome_metrics(const struct options *options, const struct metric *metrics, size_t count) {
    printf("{\"subject\":\"%s\",\"workload\":\"%s\",\"metrics\":{", options->subject, options->workload);
    for (size_t i = 0; i < count; i++) printf("%s\"%s\":%.9g", i ? "," : "", metrics[i].name, metrics[i].value);
    printf("}}\n");
}

void outcome_unsupported(const struct options *options, const char *reason) {
    printf("{\"subject\":\"%s\",\"workload\":\"%s\",\"unsupported\":\"%s\"}\n", options->subject, options->workload,
           reason);
}

void fatal(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}
