// lwIP hands a packet for the sending interface's own address, or for 127/8, to netif_loop_output, which
// needs the library's own thread and aborts the process without one. The stack lets no such packet get that
// far; this definition, found first by the dynamic linker, is the second line: it refuses the packet.

#define _GNU_SOURCE
#include "CLwIPSupport.h"

#include <dlfcn.h>
#include <lwip/netif.h>

err_t netif_loop_output(struct netif *netif, struct pbuf *p) {
    (void)netif;
    (void)p;
    return ERR_RTE;
}

int clwip_support_loop_output_replaced(void) {
    return dlsym(RTLD_DEFAULT, "netif_loop_output") == (void *)netif_loop_output;
}
