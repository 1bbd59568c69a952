// The subject c-loop-stock: the library as it comes.

#include <CLoop.h>

int main(int argc, char **argv) { return c_loop_main("c-loop-stock", false, argc, argv); }
