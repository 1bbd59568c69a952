// A server that sends back what it gets, and the client's side of one exchange with it.

#ifndef ECHO_H
#define ECHO_H

#include "loop.h"

/// Answers connections to the port until they are closed.
void echo_serve(struct loop *loop, u16_t port);

/// A client's connection. `answered` is called when as much has come back as was sent.
struct echo {
    struct tcp_pcb *pcb;
    struct loop *loop;
    u16_t awaited;
    void (*opened)(struct echo *echo);
    void (*answered)(struct echo *echo);
    /// The connection broke, or could not be opened.
    void (*failed)(struct echo *echo);
};

void echo_connect(struct echo *echo, u16_t port);
void echo_send(struct echo *echo, u16_t length);
void echo_close(struct echo *echo);

#endif
