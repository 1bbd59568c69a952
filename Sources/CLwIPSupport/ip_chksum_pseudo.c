// The stack's own IP layer checks the checksum of each segment before the library sees it, and sets those of what the
// library puts out: segments of the library are longer than packets, in both directions, so that its own sums would be
// wrong as well as slow.

#define _GNU_SOURCE
#include "CLwIPSupport.h"

#include <dlfcn.h>
#include <lwip/inet_chksum.h>

u16_t ip_chksum_pseudo(struct pbuf *p, u8_t proto, u16_t proto_len, const ip_addr_t *src, const ip_addr_t *dest) {
    (void)p, (void)proto, (void)proto_len, (void)src, (void)dest;
    return 0;
}

int clwip_support_checksum_replaced(void) {
    return dlsym(RTLD_DEFAULT, "ip_chksum_pseudo") == (void *)ip_chksum_pseudo;
}
