// Connect: whole short connections, over and over, by some clients at once. Dials: many opened at once.

#include "echo.h"
#include "outcome.h"
#include "usage.h"
#include "workloads.h"

#include <stdlib.h>

enum { port = 5003 };

static struct {
    uint64_t done, failures;
    /// Clients that are between connections.
    struct echo **waiting;
    size_t waiting_count;
} state;

static struct echo *clients_open(struct loop *loop, uint32_t count, struct echo kind) {
    struct echo *clients = calloc(count, sizeof *clients);
    state.waiting = calloc(count, sizeof(struct echo *));
    if (!clients || !state.waiting) fatal("no memory for clients");
    for (uint32_t i = 0; i < count; i++) {
        clients[i] = kind;
        clients[i].loop = loop;
    }
    echo_serve(loop, port);
    return clients;
}

// MARK: Connect

static void request(struct echo *echo) { echo_send(echo, 1); }

static void finish(struct echo *echo) {
    echo_close(echo);
    state.done++;
    state.waiting[state.waiting_count++] = echo;
}

static void give_up(struct echo *echo) {
    state.failures++;
    state.waiting[state.waiting_count++] = echo;
}

static void run_until(struct loop *loop, uint64_t end) {
    do {
        // What fails at once goes back into the list, and waits for the next turn.
        for (size_t count = state.waiting_count; count; count--)
            echo_connect(state.waiting[--state.waiting_count], port);
        loop_turn(loop);
    } while (host_now < end);
}

void run_connect(struct loop *loop, const struct options *options) {
    struct echo kind = {.opened = request, .answered = finish, .failed = give_up};
    struct echo *clients = clients_open(loop, options->concurrency, kind);
    for (uint32_t i = 0; i < options->concurrency; i++) state.waiting[state.waiting_count++] = &clients[i];

    run_until(loop, host_now + (uint64_t)(options->seconds / 4 * 1e9));
    state.done = state.failures = 0;
    uint64_t start = usage_clock();
    run_until(loop, start + (uint64_t)(options->seconds * 1e9));
    const struct metric metrics[] = {
        {"per_second", (double)state.done / ((double)(usage_clock() - start) / 1e9)},
        {"failures", (double)state.failures},
    };
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}

// MARK: Dials

static void note_opened(struct echo *echo) {
    (void)echo;
    state.done++;
}

static void note_failed(struct echo *echo) {
    (void)echo;
    state.failures++;
}

void run_dials(struct loop *loop, const struct options *options) {
    struct echo kind = {.opened = note_opened, .failed = note_failed};
    struct echo *clients = clients_open(loop, options->connections, kind);
    uint64_t start = usage_clock();
    for (uint32_t i = 0; i < options->connections; i++) echo_connect(&clients[i], port);
    while (state.done + state.failures < options->connections) loop_turn(loop);
    double seconds = (double)(usage_clock() - start) / 1e9;
    for (uint32_t i = 0; i < options->connections; i++)
        if (clients[i].pcb) echo_close(&clients[i]);
    const struct metric metrics[] = {{"seconds", seconds}, {"failures", (double)state.failures}};
    outcome_metrics(options, metrics, sizeof metrics / sizeof metrics[0]);
}
