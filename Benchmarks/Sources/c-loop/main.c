// The subject c-loop: the library with two of its functions replaced at load time, the checksum by ours and the mutex,
// which one thread has no use for, by nothing.

#include <CLoop.h>
#include <lwip/inet_chksum.h>
#include <lwip/pbuf.h>
#include <lwip/sys.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

u16_t lwip_standard_chksum(const void *data, int length);

static unsigned protect_calls;

sys_prot_t sys_arch_protect(void) {
    protect_calls++;
    return 0;
}

void sys_arch_unprotect(sys_prot_t previous) { (void)previous; }

static int protect_is_replaced(void) {
    unsigned before = protect_calls;
    struct pbuf *packet = pbuf_alloc(PBUF_RAW, 1, PBUF_RAM);
    if (packet) pbuf_free(packet);
    return protect_calls != before;
}

static u16_t sum_directly(const void *data, u16_t length) { return lwip_standard_chksum(data, length); }

/// The shortest of some runs, in nanoseconds.
static uint64_t shortest(u16_t (*sum)(const void *, u16_t)) {
    static uint8_t data[65528];
    uint64_t result = UINT64_MAX;
    for (int run = 0; run < 32; run++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        volatile u16_t value = sum(data, sizeof data);
        clock_gettime(CLOCK_MONOTONIC, &end);
        (void)value;
        uint64_t took = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000 + (uint64_t)(end.tv_nsec - start.tv_nsec);
        if (took < result) result = took;
    }
    return result;
}

/// The library's own checksum takes several times as long as ours, which inet_chksum calls if it has been replaced.
static int checksum_is_replaced(void) { return shortest(inet_chksum) < 2 * shortest(sum_directly); }

int main(int argc, char **argv) {
    if (!protect_is_replaced() || !checksum_is_replaced()) {
        fprintf(stderr, "c-loop: the library does not call our sys_arch_protect and lwip_standard_chksum\n");
        return 1;
    }
    return c_loop_main("c-loop", true, argc, argv);
}
