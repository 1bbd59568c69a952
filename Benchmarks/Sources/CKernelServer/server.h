// What the files of the server share.

#ifndef SERVER_H
#define SERVER_H

// Both serve from a socket that is bound already, and do not return.
void *serve_streams(void *socket);
void *serve_datagrams(void *socket);

#endif
