// glibc's settings of its allocator, which Swift's Glibc module leaves out.

#pragma once

#include <malloc.h>
