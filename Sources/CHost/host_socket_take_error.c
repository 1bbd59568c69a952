// Reads a socket's error queue.

#include "CHost.h"

#include <string.h>

static void read_extended_error(const struct cmsghdr *message, struct host_socket_error *error) {
    struct sock_extended_err extended;
    size_t length = message->cmsg_len - CMSG_LEN(0);
    if (length < sizeof extended) return;
    memcpy(&extended, CMSG_DATA(message), sizeof extended);
    error->origin = extended.ee_origin;
    error->type = extended.ee_type;
    error->code = extended.ee_code;
    error->mtu = extended.ee_info;
    // The address follows the structure (SO_EE_OFFENDER).
    size_t rest = length - sizeof extended;
    if (rest > sizeof error->reporter) rest = sizeof error->reporter;
    memcpy(&error->reporter, CMSG_DATA(message) + sizeof extended, rest);
}

ssize_t host_socket_take_error(int descriptor, struct host_socket_error *error, void *quote, size_t capacity) {
    union {
        struct cmsghdr alignment;
        char bytes[512];
    } control;
    struct iovec vector = {.iov_base = quote, .iov_len = capacity};
    struct msghdr message = {
        .msg_name = &error->destination,
        .msg_namelen = sizeof error->destination,
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    memset(error, 0, sizeof *error);
    ssize_t count = recvmsg(descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (count < 0) return -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        int is_v4 = header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR;
        int is_v6 = header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR;
        if (is_v4 || is_v6) read_extended_error(header, error);
    }
    return count;
}
