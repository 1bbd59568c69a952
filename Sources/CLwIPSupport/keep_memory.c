// What the C library is told about memory.

#include "CLwIPSupport.h"

#include <malloc.h>

void clwip_support_keep_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
#endif
}
