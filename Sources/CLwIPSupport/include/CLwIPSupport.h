// What must be compiled C: definitions that take the place of the library's own at load time.

#ifndef CLWIP_SUPPORT_H
#define CLWIP_SUPPORT_H

/// Whether calls made inside the library reach our `netif_loop_output` (they do unless it was linked
/// `-Bsymbolic`). Calling it also keeps the object that defines it in the program.
int clwip_support_loop_output_replaced(void);

/// The same for our `tcp_next_iss`.
int clwip_support_iss_replaced(void);

#endif
