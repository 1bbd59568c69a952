// The Internet checksum in place of the library's, which takes over half of its time on a TCP segment. Nothing but speed
// depends on this definition being the one that is called.

#include "CLwIPChecksum.h"

#include <CInternetChecksum.h>

uint16_t lwip_standard_chksum(const void *data, int length) { return internet_checksum_sum(data, length); }
