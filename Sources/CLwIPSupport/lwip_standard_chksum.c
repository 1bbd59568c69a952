// The Internet checksum (RFC 1071) in place of the library's, which takes over half of its time on a TCP segment.
// Nothing but speed depends on this definition being the one that is called.

#include <lwip/arch.h>
#include <stdint.h>
#include <string.h>

u16_t lwip_standard_chksum(const void *data, int length) {
    const uint8_t *bytes = data;
    // Sums of 32-bit words as they lie in memory, which compilers turn into vector code: folding gives the sum of
    // 16-bit words (RFC 1071 section 2). Both sums stay below 2^46 for the longest packet.
    uint64_t even = 0, odd = 0;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint32_t words[2];
        memcpy(words, bytes, sizeof words);
        even += words[0];
        odd += words[1];
    }
    uint64_t sum = even + odd;
    for (; length >= 2; bytes += 2, length -= 2) {
        uint16_t word;
        memcpy(&word, bytes, sizeof word);
        sum += word;
    }
    if (length > 0) {
        uint16_t word = 0;
        memcpy(&word, bytes, 1);
        sum += word;
    }
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (u16_t)sum;
}
