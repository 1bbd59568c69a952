// What Glibc's module leaves out: waiting for descriptors, the error queues of sockets, and the resolver's own messages.
#ifndef C_HOST_H
#define C_HOST_H

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

/// Sends a DNS query to the name servers that /etc/resolv.conf names, over TCP where UDP is too short, and waits for the reply.
///
/// Returns the reply's length, or -1 when there is none.
int host_relay_query(const unsigned char *query, int length, unsigned char *reply, int capacity);

#endif
