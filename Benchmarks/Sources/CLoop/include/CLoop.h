// lwIP in a loop: two stacks and the link between them in one thread of one process, in C, over the library's raw API.
// What a wrapper of lwIP can be measured against.

#ifndef C_LOOP_H
#define C_LOOP_H

/// Makes the one measurement that the arguments ask for and prints it. The result is the process's exit code.
int c_loop_main(const char *subject, int argc, char **argv);

#endif
