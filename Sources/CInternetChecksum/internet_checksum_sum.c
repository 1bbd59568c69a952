// The sum beneath the checksums of IPv4, ICMP, UDP and TCP (RFC 1071).

#include "CInternetChecksum.h"

#include <stdint.h>
#include <string.h>

/// Inlined into what is compiled for one kind of processor or another, the first loop becomes vector code for it.
__attribute__((always_inline)) static inline uint16_t sum(const uint8_t *bytes, int length) {
    // Words of any even size add up to the same sum once folded (RFC 1071 section 2): here the halves of 64-bit words.
    // `all` overflows, but only by what `upper` holds, so the sum of the lower halves is what remains.
    uint64_t all = 0, upper = 0;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        all += word;
        upper += word >> 32;
    }
    // Each of the two is below 2^46 for the longest packet.
    uint64_t total = (all - (upper << 32)) + upper;
    for (; length >= 2; bytes += 2, length -= 2) {
        uint16_t word;
        memcpy(&word, bytes, sizeof word);
        total += word;
    }
    if (length > 0) {
        uint16_t word = 0;
        memcpy(&word, bytes, 1);
        total += word;
    }
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return (uint16_t)total;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint16_t sum_avx2(const uint8_t *bytes, int length) { return sum(bytes, length); }
#endif

uint16_t internet_checksum_sum(const void *data, int length) {
#ifdef __x86_64__
    // Not a function that the dynamic linker resolves (IFUNC): the library may be bound before the program is.
    if (length >= 64 && __builtin_cpu_supports("avx2")) return sum_avx2(data, length);
#endif
    return sum(data, length);
}
