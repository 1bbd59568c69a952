// The server on the kernel's own stack that tunnels lead to, and that their ceiling is measured with.
//
// The first byte of a TCP connection says what becomes of it: 'D' sends until the peer closes, 'U' reads and discards,
// 'E' echoes every later byte, and 'G', as in GET, answers each HTTP/1.1 request with 13 bytes. UDP datagrams that begin
// with 'U' are counted; '?' is answered with how many there were since the last '?', as 8 bytes, the highest first.

#ifndef KERNEL_SERVER_H
#define KERNEL_SERVER_H

// Serves on 127.0.0.1, in threads that last as long as the process. Returns the port, for TCP and UDP, or -errno.
int kernel_server_start(void);

#endif
