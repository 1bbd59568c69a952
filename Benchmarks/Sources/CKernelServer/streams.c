// TCP: one thread for all connections that exchange small messages, and one for each that moves bulk data.

#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { bulk_size = 256 << 10, message_size = 64 << 10, events_at_once = 256 };

struct stream {
    int socket;
    // The connection's first byte; 0 until it has come.
    char kind;
    // How much of the empty line that ends a request has been seen.
    size_t matched;
};

static const char end_of_request[] = "\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nhello, world\n";

// A peer that is slow to read its echoes holds all others up: it is a benchmark's, and never is for long.
static bool send_all(int socket, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = socket, .events = POLLOUT};
            if (poll(&room, 1, 10000) != 1) return false;
            continue;
        }
        if (sent <= 0) return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static void *send_until_closed(void *socket) {
    static const char zeros[bulk_size];
    while (send((int)(intptr_t)socket, zeros, sizeof zeros, MSG_NOSIGNAL) > 0) {}
    close((int)(intptr_t)socket);
    return NULL;
}

static void *discard_until_end(void *socket) {
    char *bytes = malloc(bulk_size);
    while (bytes && recv((int)(intptr_t)socket, bytes, bulk_size, 0) > 0) {}
    free(bytes);
    close((int)(intptr_t)socket);
    return NULL;
}

static bool move_bulk(int poller, struct stream *stream, void *(*move)(void *)) {
    pthread_t thread;
    epoll_ctl(poller, EPOLL_CTL_DEL, stream->socket, NULL);
    fcntl(stream->socket, F_SETFL, 0);
    if (pthread_create(&thread, NULL, move, (void *)(intptr_t)stream->socket) != 0) return false;
    pthread_detach(thread);
    free(stream);
    return true;
}

static bool answer_requests(struct stream *stream, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        stream->matched = bytes[i] == end_of_request[stream->matched] ? stream->matched + 1 : bytes[i] == '\r';
        if (stream->matched < sizeof end_of_request - 1) continue;
        stream->matched = 0;
        if (!send_all(stream->socket, answer, sizeof answer - 1)) return false;
    }
    return true;
}

// Returns false when the connection is over.
static bool serve(int poller, struct stream *stream) {
    static char bytes[message_size];
    // The first byte alone: of bulk data nothing else is taken here.
    ssize_t count = recv(stream->socket, bytes, stream->kind ? sizeof bytes : 1, 0);
    if (count < 0 && errno == EAGAIN) return true;
    if (count <= 0) return false;
    if (!stream->kind) {
        stream->kind = bytes[0];
        switch (stream->kind) {
            case 'D': return move_bulk(poller, stream, send_until_closed);
            case 'U': return move_bulk(poller, stream, discard_until_end);
            case 'E': case 'G': return serve(poller, stream);
            default: return false;
        }
    }
    if (stream->kind == 'E') return send_all(stream->socket, bytes, (size_t)count);
    return answer_requests(stream, bytes, (size_t)count);
}

static void accept_all(int poller, int listener) {
    int socket;
    while ((socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct stream *stream = calloc(1, sizeof *stream);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
        if (stream) stream->socket = socket;
        if (!stream || epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event) != 0) {
            free(stream);
            close(socket);
        }
    }
}

void *serve_streams(void *socket) {
    int listener = (int)(intptr_t)socket;
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[events_at_once];
        int count = epoll_wait(poller, events, events_at_once, -1);
        for (int i = 0; i < count; i++) {
            struct stream *stream = events[i].data.ptr;
            if (!stream) {
                accept_all(poller, listener);
            } else if (!serve(poller, stream)) {
                // A child between its fork and its exec may hold a copy, for which events would go on to come.
                epoll_ctl(poller, EPOLL_CTL_DEL, stream->socket, NULL);
                close(stream->socket);
                free(stream);
            }
        }
    }
}
