// Binds the server's sockets and starts its threads.

#define _GNU_SOURCE
#include "kernel_server.h"
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static int bound_socket(int type, in_port_t port) {
    int descriptor = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    int error = errno;
    close(descriptor);
    return -error;
}

static in_port_t port_of(int descriptor) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    return getsockname(descriptor, (struct sockaddr *)&address, &length) == 0 ? address.sin_port : 0;
}

static int start(void *(*serve)(void *), int descriptor) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, serve, (void *)(intptr_t)descriptor);
    if (error == 0) pthread_detach(thread);
    return -error;
}

int kernel_server_start(void) {
    enum { backlog = 4096, attempts = 16 };
    int streams = -1, datagrams = -EADDRINUSE;
    // A free port of TCP may be taken in UDP.
    for (int i = 0; i < attempts && datagrams == -EADDRINUSE; i++) {
        if (streams >= 0) close(streams);
        streams = bound_socket(SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (streams < 0) return streams;
        datagrams = bound_socket(SOCK_DGRAM, port_of(streams));
    }
    if (datagrams < 0) return datagrams;
    if (listen(streams, backlog) != 0) return -errno;
    int error = start(serve_streams, streams);
    if (error == 0) error = start(serve_datagrams, datagrams);
    return error ? error : ntohs(port_of(streams));
}
