// What Glibc's module leaves out: waiting for descriptors, and the control messages of sockets.
#ifndef C_HOST_SOCKET_H
#define C_HOST_SOCKET_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

/// An entry of a socket's error queue (IP_RECVERR in ip(7), IPV6_RECVERR in ipv6(7)).
struct host_socket_error {
    /// Who has found the error: SO_EE_ORIGIN_LOCAL (1), _ICMP (2), _ICMP6 (3).
    uint8_t origin;
    /// As in the ICMP message.
    uint8_t type, code;
    /// The path MTU, of errors that tell one.
    uint32_t mtu;
    /// The sender of the ICMP message; of family AF_UNSPEC where there was none.
    struct sockaddr_storage reporter;
    /// Where the datagram that caused the error was going.
    struct sockaddr_storage destination;
};

/// Takes the next entry.
///
/// Returns how many bytes of the datagram that caused it have been written to `quote`, or -1 if the queue is empty.
ssize_t host_socket_take_error(int descriptor, struct host_socket_error *error, void *quote, size_t capacity);

#endif
