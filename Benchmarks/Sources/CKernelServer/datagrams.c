// UDP: counts what arrives, many datagrams to a system call.

#define _GNU_SOURCE
#include "server.h"

#include <endian.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { datagrams_at_once = 64, datagram_size = 2048 };

void *serve_datagrams(void *socket) {
    int descriptor = (int)(intptr_t)socket;
    int size = 4 << 20;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    static char bytes[datagrams_at_once][datagram_size];
    uint64_t seen = 0;
    for (;;) {
        struct sockaddr_in senders[datagrams_at_once];
        struct iovec parts[datagrams_at_once];
        struct mmsghdr messages[datagrams_at_once];
        for (int i = 0; i < datagrams_at_once; i++) {
            parts[i] = (struct iovec){bytes[i], datagram_size};
            messages[i] = (struct mmsghdr){
                .msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &senders[i], .msg_namelen = sizeof senders[i]}};
        }
        int count = recvmmsg(descriptor, messages, datagrams_at_once, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            if (messages[i].msg_len == 0) continue;
            if (bytes[i][0] == 'U') seen++;
            if (bytes[i][0] != '?') continue;
            uint64_t answer = htobe64(seen);
            seen = 0;
            sendto(descriptor, &answer, sizeof answer, 0, (struct sockaddr *)&senders[i], messages[i].msg_hdr.msg_namelen);
        }
    }
}
