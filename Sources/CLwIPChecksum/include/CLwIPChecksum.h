// The Internet checksum for lwIP, in place of its own.

#ifndef CLWIP_CHECKSUM_H
#define CLWIP_CHECKSUM_H

#include <stdint.h>

/// The sum of 16-bit words as they lie in memory (RFC 1071), folded, not complemented.
uint16_t lwip_standard_chksum(const void *data, int length);

#endif
