// The Internet checksum in C: Swift compiles for one kind of processor, and its loop takes half as long again as that for AVX2.

#ifndef C_INTERNET_CHECKSUM_H
#define C_INTERNET_CHECKSUM_H

#include <stdint.h>

/// The sum of 16-bit words as they lie in memory (RFC 1071), folded, not complemented.
uint16_t internet_checksum_sum(const void *data, int length);

#endif
