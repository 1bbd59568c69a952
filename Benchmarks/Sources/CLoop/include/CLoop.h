// lwIP in a loop: two stacks and the link between them in one thread of one process, in C, over the library's raw API.
// What a wrapper of lwIP can be measured against.

#ifndef C_LOOP_H
#define C_LOOP_H

#include <stdbool.h>

/// Makes the one measurement that the arguments ask for and prints it. The result is the process's exit code.
///
/// `may_shard`: over a thousand connections are spread over many lists, in place of the one that the library searches.
int c_loop_main(const char *subject, bool may_shard, int argc, char **argv);

#endif
