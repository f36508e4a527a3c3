// SPDX-License-Identifier: Apache-2.0
// An OpenCL driver that takes its process down, or hangs, as soon as the loader asks it anything.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((visibility("default"))) void *clGetExtensionFunctionAddress(const char *name);

void *clGetExtensionFunctionAddress(const char *name)
{
    if (getenv("BAD_DRIVER_HANGS"))
        for (;;)
            pause();
    fprintf(stderr, "bad_driver: cannot select: %s\n", name);
    abort();
}
